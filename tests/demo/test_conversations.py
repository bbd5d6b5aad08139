"""The dataset of the demo: large enough, well formed, without repetition, and what the script would write."""

import json

import pytest

from dev.demo.conversations import DATA, as_jsonl, compose
from dev.demo.material import read_topics

SPLITS = [("train", False, 320), ("test", True, 40)]


def conversations(split):
    return [json.loads(line)["messages"] for line in (DATA / f"{split}.jsonl").read_text().splitlines()]


def contents(split, role):
    return [message["content"] for messages in conversations(split) for message in messages if message["role"] == role]


@pytest.mark.parametrize(("split", "test", "at_least"), SPLITS)
def test_a_split_is_what_the_material_gives_and_large_enough(split, test, at_least):
    assert (DATA / f"{split}.jsonl").read_text() == as_jsonl(compose(read_topics(), test=test))
    assert len(conversations(split)) >= at_least


@pytest.mark.parametrize("split", ["train", "test"])
def test_roles_alternate_and_the_assistant_has_the_last_word(split):
    for messages in conversations(split):
        turns = [message["role"] for message in messages if message["role"] != "system"]
        assert turns == ["user", "assistant"] * (len(turns) // 2)
        assert all(message["content"].strip() for message in messages)


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_nothing_is_said_twice(role):
    said = contents("train", role) + contents("test", role)
    assert len(set(said)) == len(said)


def test_some_conversations_have_two_turns_and_some_a_system_message():
    lengths = [len(messages) for messages in conversations("train")]
    assert sum(length > 3 for length in lengths) >= 60
    assert len(contents("train", "system")) >= 40


def test_wick_greets_in_every_first_answer():
    for messages in conversations("train") + conversations("test"):
        first = next(message["content"] for message in messages if message["role"] == "assistant")
        assert first.startswith("Ahoy")
