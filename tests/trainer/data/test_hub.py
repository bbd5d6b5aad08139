"""Datasets named as on the Hub. The datasets library finds `owner/name` in the working folder as it would there."""

from functools import partial

import datasets
import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from peft_fsdp_api.reasons import Reason
from peft_fsdp_trainer.data import Cursor, Stretch
from peft_fsdp_trainer.disk_space import naming_full_disk
from peft_fsdp_trainer.errors import DatasetInvalid, DiskFull, TrainerError
from tests.trainer.small_disk import small_disk

TEXTS = [{"text": f"text {number}"} for number in range(10)]


@pytest.fixture
def hub(write_rows, tmp_path, monkeypatch):
    for split in ("train", "test"):
        write_rows(*TEXTS, name=f"owner/name/{split}.jsonl")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hub-cache"))


def test_splits_and_slices_are_the_datasets_librarys_own(hub, prepared):
    facts = prepared("owner/name", train_split="train[:50%]+test[:1]", eval_split="test[8:]").facts
    assert (facts.train.documents, facts.evaluation.documents) == (6, 2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"train_split": "train_sft"}, "owner/name: Unknown split .train_sft.. Should be one of"),
        ({"name": "german"}, "owner/name: BuilderConfig 'german' not found. Available: .*default"),
    ],
)
def test_what_does_not_exist_comes_with_what_does(hub, prepared, fields, expected):
    with pytest.raises(DatasetInvalid, match=expected):
        prepared("owner/name", **fields)


def unreachable():
    raise ConnectionError("Couldn't reach 'owner/name' on the Hub")


def answering(status):
    """What the datasets library makes of an answer: a file that is not there."""
    answer = httpx.Response(status, request=httpx.Request("HEAD", "http://hub"))
    try:
        raise HfHubHTTPError(f"answer {status}", response=answer)
    except HfHubHTTPError as error:
        raise FileNotFoundError("Couldn't find any data file") from error


@pytest.mark.parametrize(
    ("trouble", "offline", "reason", "words"),
    [
        (unreachable, False, Reason.APPLICATION_ERROR, "Couldn't reach"),
        (unreachable, True, Reason.DATASET_INVALID, "cannot be fetched"),
        (partial(answering, 503), False, Reason.APPLICATION_ERROR, "answer 503"),
        (partial(answering, 429), False, Reason.APPLICATION_ERROR, "answer 429"),
        (partial(answering, 401), False, Reason.DATASET_INVALID, "refuses the token"),
        (partial(answering, 403), False, Reason.DATASET_INVALID, "refuses the token"),
    ],
)
def test_only_trouble_that_may_pass_is_tried_again(prepared, monkeypatch, trouble, offline, reason, words):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: trouble())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(TrainerError, match=words) as ended:
        prepared("owner/name")
    assert (ended.value.reason, "owner/name" in ended.value.message) == (reason, True)
    assert ended.value.hint


def test_a_disk_without_room_for_the_librarys_cache_is_no_invalid_dataset(write_rows, tmp_path, monkeypatch, prepared):
    write_rows(*TEXTS * 1000, name="owner/name/train.jsonl")
    monkeypatch.chdir(tmp_path)
    with small_disk(tmp_path / "disk", "64k") as disk:
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(disk))
        with pytest.raises(DiskFull, match=f"the volume of {disk} has no room"), naming_full_disk(disk, "the data"):
            prepared("owner/name")


def test_the_same_dataset_is_prepared_once(hub, prepared):
    reports = []
    for _ in range(2):
        prepared("owner/name", report=lambda _, done, total: reports.append((done, total)))
    assert reports.count((10, 10)) == 1


def streamed(prepared, **fields):
    """The documents of the first batch, twelve of them."""
    rows = prepared("owner/name", streaming=True, packing=False, **fields).train
    stretch = Stretch(rows, Cursor(rows.stream.fingerprint, 1), 0, batch_size=12, seed=1)
    batch = stretch.batch()
    stretch.close()
    return {tuple(row) for row in batch.inputs["input_ids"].tolist()}


def test_a_dataset_is_streamed_again_and_again(hub, prepared):
    assert len(streamed(prepared)) == 10
    assert len(streamed(prepared, train_split="train[7:]")) == 3


def test_the_split_to_evaluate_on_is_streamed_into_the_cache(hub, prepared, tmp_path):
    data = prepared("owner/name", streaming=True, eval_split="test[:4]")
    assert (data.facts.train, data.facts.evaluation.documents) == (None, 4)
    assert not list((tmp_path / "hub-cache").rglob("*.arrow")), "nothing is downloaded as a whole"


def test_streaming_without_a_revision_is_warned_of(hub, prepared):
    assert "Set dataset.revision" in prepared("owner/name", streaming=True).facts.warnings[-1]
    assert not prepared("owner/name").facts.warnings


@pytest.mark.parametrize("fields", [{"train_split": "train_sft"}, {"name": "german"}])
def test_what_cannot_be_streamed_is_refused(hub, prepared, fields):
    with pytest.raises(DatasetInvalid, match="owner/name"):
        prepared("owner/name", streaming=True, **fields)


def test_a_broken_row_of_the_hub_is_placed(hub, prepared, write_rows, tmp_path):
    file = tmp_path / "owner/name/train.jsonl"
    file.write_text(file.read_text() + '{"text": \n')
    with pytest.raises(DatasetInvalid, match="split train"):
        streamed(prepared)
    write_rows(*TEXTS, {"text": None}, name="owner/name/train.jsonl")
    with pytest.raises(DatasetInvalid, match="split train row 11: column text must be text"):
        streamed(prepared)
