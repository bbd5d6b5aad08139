"""Tiny real things: a tokenizer trained in a moment, rows on disk, and `prepare` with short arguments."""

import json
from pathlib import Path

import pytest

from dev.demo.tokenizer import train_tokenizer
from peft_fsdp_api.spec import DatasetSpec
from peft_fsdp_trainer.data import prepare

SENTENCES = ["The lamp turns slowly over the sea.", "Birds nest on the cliff in spring.", "system user assistant"]


def chat(*contents, system=None):
    """A row with alternating user and assistant messages."""
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": content} for place, content in enumerate(contents)]
    return {"messages": [{"role": "system", "content": system}, *messages] if system else messages}


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer(SENTENCES * 5)


@pytest.fixture
def write_rows(tmp_path):
    def write(*rows, name="train.jsonl"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    return write


@pytest.fixture
def prepared(tmp_path, tokenizer):
    """`prepare` of a source with fields of DatasetSpec."""

    def run(source, *, attention="sdpa", report=lambda *_: None, with_tokenizer=tokenizer, **fields):
        spec = DatasetSpec.model_validate({"source": str(source), "max_length": 64} | fields)
        return prepare(spec, with_tokenizer, attention=attention, cache_dir=Path(tmp_path) / "cache", report=report)

    return run
