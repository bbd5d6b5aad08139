"""Which format a row has, and what a row that does not fit is told."""

import copy

import pytest

from peft_fsdp_trainer.errors import DatasetInvalid

from .conftest import chat

TALK = chat("Who?", "The lamp.")
PAIR = {"prompt": "The lamp", "completion": " turns."}


@pytest.mark.parametrize(
    ("row", "fields", "expected"),
    [
        (TALK, {}, "messages"),
        (PAIR, {}, "promptCompletion"),
        ({"text": "The sea."}, {}, "text"),
        ({"content": "The sea."}, {"text_field": "content"}, "text"),
        ({"dialogue": TALK["messages"]}, {"text_field": "dialogue"}, "messages"),
        (TALK | PAIR, {}, "messages"),
        (TALK | PAIR, {"loss": "completion"}, "promptCompletion"),
        (TALK | {"text": "The sea."}, {"format": "text"}, "text"),
    ],
)
def test_the_format_is_what_the_columns_show(prepared, write_rows, row, fields, expected):
    assert prepared(write_rows(row), **fields).facts.format == expected


def refusal(prepared, source, **fields):
    with pytest.raises(DatasetInvalid) as raised:
        prepared(source, **fields)
    return raised.value.message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "has the columns title, body; with dataset.loss all it needs messages; or prompt and completion; or text"),
        ({"format": "messages"}, "has no column messages, which format messages needs; it has title, body"),
        ({"loss": "completion"}, "with dataset.loss completion it needs prompt and completion"),
        ({"text_field": "chat"}, "it needs text or messages in chat, which dataset.textField names"),
        ({"text_field": "body", "loss": "assistant"}, "it needs messages in body, which dataset.textField names"),
    ],
)
def test_missing_columns_come_with_those_that_exist(prepared, write_rows, fields, expected):
    assert expected in refusal(prepared, write_rows({"title": "a", "body": "b"}), **fields)


def test_a_named_column_that_is_not_there_is_not_passed_over(prepared, write_rows):
    assert "it needs text or messages in content" in refusal(prepared, write_rows(PAIR), text_field="content")


@pytest.mark.parametrize("row", [PAIR, {"text": "The sea."}])
def test_a_template_for_plain_text_is_not_passed_over(prepared, write_rows, row):
    assert "chatTemplate is chatml, but" in refusal(prepared, write_rows(row), chat_template="chatml")


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "human", "content": "x"}], "line 1: message 1 of messages has the role 'human'"),
        ([{"from": "gpt", "value": "x"}], "line 1: message 1 of messages needs role and content"),
        ([{"role": "user", "content": ["x"]}], "line 1: message 1 of messages has content that is a list"),
        ("hello", "line 1: column messages must be a list of messages, it is a str"),
    ],
)
def test_a_message_that_cannot_be_used_is_named(prepared, write_rows, messages, expected):
    assert expected in refusal(prepared, write_rows({"messages": messages}))


def test_prompt_and_completion_must_be_alike(prepared, write_rows):
    row = {"prompt": "x", "completion": TALK["messages"]}
    assert "must both be text or both lists" in refusal(prepared, write_rows(row))


def test_data_without_a_token_to_learn_is_refused(prepared, write_rows):
    message = refusal(prepared, write_rows(chat("A question of many words"), chat("Another")), loss="assistant")
    assert message.startswith("none of the 2 documents of split train")


def test_the_models_own_template_must_exist(prepared, write_rows, tokenizer):
    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    message = refusal(prepared, write_rows(TALK), chat_template="model", with_tokenizer=bare)
    assert message == "dataset.chatTemplate is model, but the model's tokenizer has no chat template"


def test_auto_falls_back_to_chatml_where_the_model_has_no_template(prepared, write_rows, tokenizer):
    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    assert prepared(write_rows(TALK), with_tokenizer=bare).facts.chat_template == "chatml"


def test_what_a_template_refuses_is_told_with_the_row(prepared, write_rows, tokenizer):
    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('roles must alternate') }}"
    message = refusal(prepared, write_rows(TALK), with_tokenizer=strict)
    assert message.endswith("line 1: the chat template model refuses the conversation: roles must alternate")
