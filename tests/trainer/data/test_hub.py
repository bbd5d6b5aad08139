"""Datasets named as on the Hub. The datasets library finds `owner/name` in the working folder as it would there."""

import datasets
import pytest

from peft_fsdp_trainer.errors import DatasetInvalid

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


def test_the_same_dataset_is_prepared_once(hub, prepared):
    reports = []
    for _ in range(2):
        prepared("owner/name", report=lambda _, done, total: reports.append((done, total)))
    assert reports.count((10, 10)) == 1
