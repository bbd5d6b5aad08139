"""What a rank tells of the stages before the training: how much is done, of how much. And of streaming at the end."""

import json

import pytest

from tests.trainer.core.gang import run_ranks, train_rank

pytestmark = pytest.mark.slow

ROWS = 3000
"""Three blocks of a stream, the last one short."""


def _stages(folder, config, *arguments):
    return [ending.value for ending in run_ranks(train_rank, 2, folder, config, *arguments)]


def test_loading_and_tokenizing_count_to_the_end(make_config, tmp_path):
    ended = _stages(tmp_path / "run", make_config(training={"maxSteps": 1}))
    assert [rank["stages"]["load"] for rank in ended] == [[3, 3]] * 2, "two layers, and what lies outside of them"
    assert [48, 48] in [rank["stages"].get("tokenize") for rank in ended], "one of the ranks tokenizes"


def test_a_streamed_run_that_goes_on_tells_how_far_it_has_read(make_config, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": f"row {number} of many"}) + "\n" for number in range(ROWS)))
    config = make_config(
        dataset={"source": str(file), "streaming": True, "packing": False, "evalSplit": "train[:48]"},
        training={"maxSteps": 20, "batchSize": 64},
        checkpoint={"every": {"steps": 100}},
        evaluation={"every": {"steps": 100}},
    )
    stopped = _stages(tmp_path / "stopped", config, 17)  # 1088 rows of each rank
    assert {rank["reason"] for rank in stopped} == {"Preempted"}
    resumed = _stages(tmp_path / "resumed", config)
    assert resumed[0]["stages"]["tokenize"] == [3 * 1024, 3 * 1024], "to the end of its second block"
    card = (tmp_path / "volume" / "tiny" / "adapter" / "README.md").read_text()
    assert "| streaming | True |" in card
    assert f"| training split | train: {3 * 2 * 64} documents in the last attempt |" in card
    assert "rows are streamed" in (tmp_path / "resumed" / "output-0.log").read_text()
