"""A streamed run on real ranks that is stopped goes on with the next document of each rank, and no other."""

import json
import os
import shutil
from collections import Counter
from itertools import pairwise

import pytest

from tests.trainer.core.gang import run_ranks, train_rank

pytestmark = pytest.mark.slow

COUNT = 2100
"""Two whole blocks, and one of 52 rows."""


def recorded_rank(config, *arguments):
    """A run as this rank, with the token ids of each document of each step that was completed."""
    from peft_fsdp_trainer.step import Stepper

    documents, train = [], Stepper.train

    def recording(self, batches, *others):
        result = train(self, batches, *others)
        documents.extend(name for batch in batches for name in _documents(batch.inputs))
        return result

    Stepper.train = recording
    return {**train_rank(config, *arguments), "documents": documents, "rank": os.environ["RANK"]}


def _documents(inputs):
    """The documents of a batch as text; one of padding has no label."""
    for tokens, labels, positions in zip(
        *(inputs[key].tolist() for key in ("input_ids", "labels", "position_ids")), strict=True
    ):
        starts = [place for place, position in enumerate(positions) if position == 0] + [len(positions)]
        for start, end in pairwise(starts):
            if any(label >= 0 for label in labels[start:end]):
                yield " ".join(map(str, tokens[start:end])).strip()


def _run(config, world_size, folder, *arguments):
    return [ending.value for ending in run_ranks(recorded_rank, world_size, folder, config, *arguments)]


@pytest.fixture
def streamed(make_config, tmp_path):
    file = tmp_path / "numbers.jsonl"
    rows = [{"text": f"The house {number} is old{' and cold' * (number % 7)}."} for number in range(COUNT)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(packing, **training):
        data = {"source": str(file), "streaming": True, "packing": packing}
        settings = {"precision": "float32", **training}
        return make_config(
            dataset=data, training=settings, lora={"dropout": 0.1}, checkpoint={"every": {"steps": 1000}}
        )

    return make


@pytest.mark.parametrize("packing", [True, False])
def test_a_stopped_run_ends_with_the_losses_and_documents_of_an_uninterrupted_one(streamed, tmp_path, packing):
    config = streamed(packing, maxSteps=6, batchSize=4, gradientAccumulation=2)
    whole = _run(config, 2, tmp_path / "whole")
    shutil.rmtree(config.paths.output)
    stopped = _run(config, 2, tmp_path / "stopped", 2, 1)
    assert [(rank["reason"], rank["step"]) for rank in stopped] == [("Preempted", 2)] * 2
    resumed = _run(config, 2, tmp_path / "resumed")
    assert stopped[0]["losses"] + resumed[0]["losses"] == pytest.approx(whole[0]["losses"], abs=1e-5)
    for before, after, all_along in zip(stopped, resumed, whole, strict=True):
        assert before["documents"] + after["documents"] == all_along["documents"]
    seen = Counter(document for rank in whole for document in rank["documents"])
    assert set(seen.values()) == {1}, "the ranks share out the documents"


def test_on_another_number_of_ranks_no_document_is_skipped_or_seen_twice(streamed, tmp_path):
    config = streamed(False, maxSteps=20, batchSize=64)
    stopped = _run(config, 2, tmp_path / "stopped", 5)
    alone = config.model_copy(update={"training": config.training.model_copy(update={"max_steps": 5 + 26})})
    resumed = _run(alone, 1, tmp_path / "resumed")
    before = [document for rank in stopped for document in rank["documents"]]
    after = resumed[0]["documents"]
    left = COUNT - len(before)
    assert len(before) == 5 * 2 * 64
    assert len({*before, *after[:left]}) == COUNT, "one pass holds each document once"
    assert len(set(after[left:])) == len(after[left:]) == 26 * 64 - left, "the next pass has begun"
