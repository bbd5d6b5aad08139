"""The work is done once, by one process, and again only when something changes."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from peft_fsdp_trainer.data.cache import made_once
from tests.trainer.data.conftest import chat

TEXTS = [{"text": f"text number {number} " * (number + 1)} for number in range(6)]


class Stages(list):
    """Collects what `prepare` reports."""

    def __call__(self, stage, done, total):
        self.append((done, total))


def tokenized(prepared, source, **fields):
    """Whether `prepare` had to read the rows."""
    stages = Stages()
    prepared(source, report=stages, **fields)
    return (6, 6) in stages


def test_the_second_job_does_no_work(prepared, write_rows):
    source = write_rows(*TEXTS)
    assert [tokenized(prepared, source), tokenized(prepared, source)] == [True, False]


@pytest.mark.parametrize(
    "change", [{"max_length": 32}, {"packing": False}, {"loss": "completion", "format": "promptCompletion"}]
)
def test_a_changed_setting_is_new_work(prepared, write_rows, change):
    source = write_rows(*(row | {"prompt": "a", "completion": "b"} for row in TEXTS))
    tokenized(prepared, source)
    assert tokenized(prepared, source, **change)


def test_a_changed_tokenizer_is_new_work(prepared, write_rows, tokenizer):
    source = write_rows(*TEXTS)
    tokenized(prepared, source)
    assert not tokenized(prepared, source, with_tokenizer=copy.deepcopy(tokenizer))
    larger, other_end = copy.deepcopy(tokenizer), copy.deepcopy(tokenizer)
    larger.add_tokens(["number"])
    other_end.eos_token = "<pad>"
    assert [tokenized(prepared, source, with_tokenizer=changed) for changed in (larger, other_end)] == [True, True]


def test_a_changed_template_is_new_work(prepared, write_rows, tokenizer):
    source = write_rows(*(chat(text["text"], "yes") for text in TEXTS))
    tokenized(prepared, source, chat_template="model")
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = tokenizer.chat_template.replace("<|im_end|>", "<|im_end|> ")
    assert tokenized(prepared, source, chat_template="model", with_tokenizer=changed)
    assert tokenized(prepared, source, chat_template="zephyr")
    assert not tokenized(prepared, source, chat_template="model")


def test_another_column_is_new_work(prepared, write_rows):
    source = write_rows(*(row | {"body": "other words"} for row in TEXTS))
    tokenized(prepared, source)
    assert tokenized(prepared, source, text_field="body")


def test_changed_content_of_the_same_size_is_new_work(prepared, write_rows):
    tokenized(prepared, write_rows(*TEXTS))
    assert tokenized(prepared, write_rows(*reversed(TEXTS)))


def test_the_fingerprint_tells_different_rows_apart(prepared, write_rows):
    first = prepared(write_rows(*TEXTS)).fingerprint
    assert prepared(write_rows(*TEXTS, name="copy.jsonl")).fingerprint == first
    assert prepared(write_rows(*TEXTS[1:])).fingerprint != first


def test_splits_of_equal_content_keep_their_names(prepared, write_rows):
    for split in ("train", "test"):
        source = write_rows(*TEXTS, name=f"rows/{split}.jsonl")
    facts = prepared(source.parent, eval_split="test").facts
    assert (facts.train.split, facts.evaluation.split) == ("train", "test")


def test_nothing_is_left_of_work_that_failed(tmp_path):
    def fail(folder):
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        made_once(tmp_path / "key", fail, waiting=lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["key.lock"]


def test_of_several_at_once_one_works_and_the_others_wait(tmp_path):
    others_wait, made = threading.Event(), []

    def make(unfinished):
        assert others_wait.wait(30)
        made.append(unfinished)

    # The lock belongs to an open file, so threads exclude each other as processes do.
    with ThreadPoolExecutor(3) as pool:
        folders = [pool.submit(made_once, tmp_path / "key", make, waiting=others_wait.set) for _ in range(3)]
    assert {folder.result() for folder in folders} == {tmp_path / "key"}
    assert len(made) == 1
