"""Where rows come from: files, folders, slices, folders of the datasets library."""

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from peft_fsdp_trainer.errors import DatasetInvalid

TEXTS = [{"text": f"text {number}"} for number in range(10)]


def count(prepared, source, **fields):
    facts = prepared(source, **fields).facts
    return facts.train.documents, facts.evaluation and facts.evaluation.documents


@pytest.fixture
def table():
    return pa.Table.from_pylist(TEXTS)


def test_a_jsonl_file_is_the_split_train(prepared, write_rows):
    assert count(prepared, write_rows(*TEXTS)) == (10, None)


def test_a_json_file_may_hold_a_list(prepared, tmp_path):
    file = tmp_path / "rows.json"
    file.write_text('[\n {"text": "one"},\n {"text": "two"}\n]')
    assert count(prepared, file) == (2, None)


def test_parquet(prepared, tmp_path, table):
    pyarrow.parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    assert count(prepared, tmp_path) == (10, None)


@pytest.mark.parametrize("writer", [pa.ipc.new_file, pa.ipc.new_stream])
def test_both_arrow_formats(prepared, tmp_path, table, writer):
    file = tmp_path / "rows.arrow"
    with writer(str(file), table.schema) as opened:
        opened.write_table(table)
    assert count(prepared, file) == (10, None)


@pytest.mark.parametrize(
    ("files", "fields", "expected"),
    [
        (("train.jsonl", "test.jsonl"), {"eval_split": "test"}, (10, 10)),
        (("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"), {}, (20, None)),
        (("data/train_sft.jsonl", "data/test_sft.jsonl"), {"train_split": "train_sft"}, (10, None)),
        (("train_data.jsonl", "validation_data.jsonl"), {"eval_split": "validation"}, (10, 10)),
        (("monday.jsonl", "tuesday.jsonl", ".hidden.jsonl"), {}, (20, None)),
    ],
)
def test_files_of_a_folder_belong_to_the_split_they_are_named_after(
    prepared, write_rows, tmp_path, files, fields, expected
):
    for name in files:
        write_rows(*TEXTS, name=f"rows/{name}")
    assert count(prepared, tmp_path / "rows", **fields) == expected


def test_one_file_can_be_sliced_into_two_splits(prepared, write_rows):
    source = write_rows(*TEXTS)
    assert count(prepared, source, train_split="train[:80%]", eval_split="train[8:]") == (8, 2)


def test_a_folder_of_save_to_disk(prepared, tmp_path):
    whole = datasets.Dataset.from_list(TEXTS)
    datasets.DatasetDict({"train": whole.select(range(7)), "test": whole}).save_to_disk(tmp_path / "saved")
    assert count(prepared, tmp_path / "saved", eval_split="test") == (7, 10)


def refusal(prepared, source, **fields):
    with pytest.raises(DatasetInvalid) as raised:
        prepared(source, **fields)
    return raised.value.message


def test_a_missing_path_is_named(prepared):
    assert refusal(prepared, "/nowhere/data") == "dataset.source /nowhere/data does not exist"


def test_a_missing_split_comes_with_those_that_exist(prepared, write_rows, tmp_path):
    write_rows(*TEXTS, name="rows/train.jsonl"), write_rows(*TEXTS, name="rows/test.jsonl")
    message = refusal(prepared, tmp_path / "rows", eval_split="validation")
    assert message.endswith("has no split validation; it has test, train")


def test_an_empty_split_is_refused(prepared, write_rows):
    source = write_rows()
    assert refusal(prepared, source) == f"split train of {source} is empty"


def test_a_folder_without_data_is_refused(prepared, tmp_path):
    assert "holds no .jsonl, .json, .parquet, .arrow file" in refusal(prepared, tmp_path)


def test_a_file_that_is_no_parquet_is_named(prepared, tmp_path):
    (tmp_path / "train.parquet").write_text("not parquet")
    assert f"{tmp_path}/train.parquet: not a parquet file" in refusal(prepared, tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": ', "train.jsonl line 2: not valid JSON: Expecting value"),
        ('"text"', "train.jsonl line 2: a JSON object is needed, this is a str"),
        ('{"text": 5}', "train.jsonl line 2: column text must be text, it is a int"),
        ("{}", "train.jsonl line 2: column text must be text, it is missing"),
    ],
)
def test_a_bad_line_is_named_with_its_number(prepared, tmp_path, line, expected):
    file = tmp_path / "train.jsonl"
    file.write_text('{"text": "good"}\n' + line + "\n")
    assert expected in refusal(prepared, file)


def test_a_dataset_of_the_hub_that_cannot_be_reached_is_refused_with_a_hint(prepared, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DatasetInvalid, match="nobody/nothing") as raised:
        prepared("nobody/nothing")
    assert raised.value.hint
