"""A packed document gets the logits it has alone, on every attention implementation that runs on a CPU."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from peft_fsdp_trainer.data import Batches

from .conftest import chat

TEXTS = [{"text": "The lamp turns " * count} for count in (1, 2, 3, 4, 5, 6)]


def tiny_model(attention, vocabulary):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, attn_implementation=attention,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def logits_by_document(model, rows):
    """For each document of the rows, the logits it has in a batch with the others and alone."""
    (batch,) = Batches(rows, batch_size=len(rows), shuffle=False)
    with torch.no_grad():
        packed = model(**{k: v for k, v in batch.inputs.items() if k != "labels"}, use_cache=False).logits
        for number in range(len(rows)):
            start = 0
            for document in rows[number]:
                end = start + len(document.tokens)
                alone = model(torch.tensor(document.tokens, dtype=torch.long)[None], use_cache=False).logits
                yield packed[number, start:end], alone[0]
                start = end


@pytest.mark.filterwarnings("ignore:_compile flag on create_block_mask:DeprecationWarning")  # transformers sets it
@pytest.mark.parametrize("attention", ["eager", "sdpa", pytest.param("flex_attention", marks=pytest.mark.slow)])
def test_packed_documents_do_not_see_each_other(prepared, write_rows, tokenizer, attention):
    data = prepared(write_rows(*TEXTS), attention=attention)
    assert 1 < len(data.train) < len(TEXTS)
    for packed, alone in logits_by_document(tiny_model(attention, len(tokenizer)), data.train):
        torch.testing.assert_close(packed, alone, atol=1e-5, rtol=0)


def test_padding_of_a_short_row_is_not_seen(prepared, write_rows, tokenizer):
    data = prepared(write_rows(*TEXTS), packing=False)
    for padded, alone in logits_by_document(tiny_model("sdpa", len(tokenizer)), data.train):
        torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)


def test_loss_equals_the_mean_over_separate_documents(prepared, write_rows, tokenizer):
    data = prepared(write_rows(*TEXTS))
    model = tiny_model("sdpa", len(tokenizer))
    (batch,) = Batches(data.train, batch_size=len(data.train))
    packed = model(**batch.inputs, use_cache=False).loss * batch.loss_tokens
    documents = [document for number in range(len(data.train)) for document in data.train[number]]
    ids = [torch.tensor(document.tokens, dtype=torch.long)[None] for document in documents]
    alone = sum(model(one, labels=one, use_cache=False).loss * (one.shape[1] - 1) for one in ids)
    torch.testing.assert_close(packed, alone, atol=1e-3, rtol=0)


def test_flash_attention_gets_one_flat_row_and_the_starts_of_its_documents(prepared, write_rows, tokenizer):
    data = prepared(write_rows(chat("Hello", "Good day"), chat("Who?", "The lamp.")), attention="flash_attention_2")
    (batch,) = Batches(data.train, batch_size=1)
    starts = batch.inputs["cu_seq_lens_q"].tolist()
    positions = batch.inputs["position_ids"][0]
    assert batch.inputs["input_ids"].shape == (1, batch.tokens) == (1, starts[-1])
    assert starts[:-1] == (positions == 0).nonzero().flatten().tolist()
    assert batch.inputs["max_length_q"] == int(positions.max()) + 1


def test_the_flat_row_of_flash_attention_is_isolated_by_its_positions_too(prepared, write_rows, tokenizer):
    data = prepared(write_rows(*TEXTS), attention="flash_attention_2")
    (batch,) = Batches(data.train, batch_size=len(data.train), shuffle=False)
    model = tiny_model("sdpa", len(tokenizer))
    names = ("input_ids", "position_ids")
    flat = model(**{name: batch.inputs[name] for name in names}, use_cache=False).logits[0]
    first = data.train[0][0].tokens
    alone = model(torch.tensor(first, dtype=torch.long)[None], use_cache=False).logits[0]
    torch.testing.assert_close(flat[: len(first)], alone, atol=1e-5, rtol=0)
