"""What is learned: the text that the labels spell."""

import copy

import pytest

from peft_fsdp_trainer.data import Batches
from peft_fsdp_trainer.data.templates import CHATML
from peft_fsdp_trainer.errors import DatasetInvalid

from .conftest import chat

TALK = chat("Who?", "The lamp.", "Where?", "The sea.")


def learned(data, tokenizer):
    (batch,) = Batches(data.train, batch_size=1)
    labels = batch.inputs["labels"][0]
    return tokenizer.decode(labels[labels != -100])


def text(data, tokenizer):
    return tokenizer.decode(data.train[0][0].tokens)


@pytest.mark.parametrize(
    ("template", "expected"),
    [("chatml", "The lamp.<|im_end|>The sea.<|im_end|>"), ("zephyr", "The lamp.</s>The sea.</s>")],
)
def test_assistant_loss_is_the_assistants_turns_with_their_ends(prepared, write_rows, tokenizer, template, expected):
    data = prepared(write_rows(TALK), loss="assistant", chat_template=template)
    assert learned(data, tokenizer) == expected


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("{% endgeneration %}{{- '<|im_end|>' -}}", "The lamp.<|im_end|>The sea.<|im_end|>"),
        ("{{- '<|im_end|>\n' -}}{% endgeneration %}", "The lamp.<|im_end|>\nThe sea.<|im_end|>\n"),
    ],
)
def test_the_end_of_a_turn_is_learned_once_wherever_the_models_template_marks(
    prepared, write_rows, tokenizer, ending, expected
):
    other = copy.deepcopy(tokenizer)
    other.chat_template = CHATML.replace(" + '<|im_end|>' -}}{% endgeneration %}", " -}}" + ending).replace(
        "{{- '\\n' -}}\n{%- endfor", "{%- endfor"
    )
    data = prepared(write_rows(TALK), loss="assistant", chat_template="model", with_tokenizer=other)
    assert learned(data, tokenizer) == expected


def test_all_loss_learns_everything_after_the_first_token(prepared, write_rows, tokenizer):
    data = prepared(write_rows(TALK))
    assert "<|im_start|>" + learned(data, tokenizer) == text(data, tokenizer)


def test_completion_loss_is_the_completion_with_its_end(prepared, write_rows, tokenizer):
    data = prepared(write_rows({"prompt": "The lamp", "completion": " turns."}), loss="completion")
    assert learned(data, tokenizer) == " turns.</s>"


def test_completion_of_messages_is_the_answer_with_its_end(prepared, write_rows, tokenizer):
    (prompt, answer) = chat("Who?", "The lamp.")["messages"]
    data = prepared(write_rows({"prompt": [prompt], "completion": [answer]}), loss="completion")
    assert learned(data, tokenizer) == "The lamp.<|im_end|>\n"


@pytest.mark.parametrize("written", ["The sea.", "<s>The sea.", "The sea.</s>", "<s>The sea.</s>"])
def test_text_has_one_bos_and_one_eos(prepared, write_rows, tokenizer, written):
    assert text(prepared(write_rows({"text": written})), tokenizer) == "<s>The sea.</s>"


def test_no_template_joins_the_contents(prepared, write_rows, tokenizer):
    data = prepared(write_rows(chat("Who?", "The lamp.")), chat_template="none")
    assert text(data, tokenizer) == "<s>Who?\nThe lamp.</s>"


def test_a_template_adds_no_bos_and_shows_the_system_message(prepared, write_rows, tokenizer):
    data = prepared(write_rows(chat("Who?", "I.", system="Be brief.")))
    assert text(data, tokenizer).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho?")


def test_tokens_the_vocabulary_lacks_stay_text_and_are_reported(prepared, write_rows, tokenizer):
    data = prepared(write_rows(TALK), chat_template="zephyr")
    assert "<|user|>\nWho?</s>" in text(data, tokenizer)
    assert "<|user|>, <|assistant|> of the chat template zephyr are not in the" in data.facts.warnings[0]


def test_long_documents_are_cut_and_unlearnable_ones_dropped(prepared, write_rows):
    rows = ({"text": "word " * 100}, {"text": ""}, {"text": "short"})
    facts = prepared(write_rows(*rows)).facts.train
    assert (facts.documents, facts.truncated, facts.dropped) == (2, 1, 1)
    assert facts.tokens - facts.documents == facts.loss_tokens


@pytest.mark.parametrize("loss", ["all", "assistant"])
def test_an_empty_conversation_is_dropped(prepared, write_rows, loss):
    facts = prepared(write_rows({"messages": []}, TALK), loss=loss).facts.train
    assert (facts.documents, facts.dropped) == (1, 1)


def test_prompts_may_be_text_in_one_row_and_messages_in_the_next(prepared, write_rows, tokenizer):
    (prompt, answer) = chat("Who?", "The lamp.")["messages"]
    rows = ({"prompt": [prompt], "completion": [answer]}, {"prompt": "The lamp", "completion": " turns."})
    data = prepared(write_rows(*rows), loss="completion", packing=False)
    texts = [tokenizer.decode(data.train[number][0].tokens) for number in range(2)]
    assert texts == [
        "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\nThe lamp.<|im_end|>\n",
        "<s>The lamp turns.</s>",
    ]


def test_assistant_loss_needs_a_template_that_marks(prepared, write_rows, tokenizer):
    with pytest.raises(DatasetInvalid, match="template none does not mark what the assistant says"):
        prepared(write_rows(TALK), loss="assistant", chat_template="none")
