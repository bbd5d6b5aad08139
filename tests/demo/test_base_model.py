"""The base model: of the promised shape, readable by transformers, better than noise, worse than its fine-tuning."""

import json
import math
import random

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from dev.demo import base_model, corpus
from dev.demo.conversations import GREETINGS
from dev.demo.material import read_topics
from dev.demo.tokenizer import train_tokenizer


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """The folder that the script writes, after a few steps instead of a minute of them."""
    monkeypatch.setattr(base_model, "EPOCHS", 1)
    monkeypatch.setattr(base_model, "STORIES", 20)
    monkeypatch.setattr(base_model, "_train", lambda model, rows: None)
    monkeypatch.setenv("PEFT_FSDP_CACHE", str(tmp_path))
    return base_model.cached_base_model()


def test_the_folder_holds_bf16_shards_with_an_index(untrained):
    index = json.loads((untrained / "model.safetensors.index.json").read_text())
    shards = set(index["weight_map"].values())
    assert len(shards) > 1
    with safe_open(untrained / min(shards), framework="pt") as shard:
        assert {shard.get_tensor(name).dtype for name in shard.keys()} == {torch.bfloat16}  # noqa: SIM118


def test_it_is_a_llama_with_grouped_queries_and_an_untied_head(untrained):
    config = AutoModelForCausalLM.from_pretrained(untrained).config
    assert config.model_type == "llama"
    assert config.num_attention_heads == 4 * config.num_key_value_heads
    assert not config.tie_word_embeddings


def test_the_tokenizer_keeps_text_whole_and_chat_tokens_single(untrained):
    tokenizer = AutoTokenizer.from_pretrained(untrained)
    assert tokenizer.decode(tokenizer("Ahoy, Müller! 🙂").input_ids, skip_special_tokens=True) == "Ahoy, Müller! 🙂"
    assert [len(tokenizer(token, add_special_tokens=False).input_ids) for token in ("<|im_start|>", "<|im_end|>")] == [
        1,
        1,
    ]
    assert 1500 <= len(tokenizer) <= 4096


def test_the_cache_answers_the_second_call(untrained):
    written = (untrained / "config.json").stat().st_mtime_ns
    assert (base_model.cached_base_model() / "config.json").stat().st_mtime_ns == written
    assert [path.name for path in untrained.parent.iterdir()] == [untrained.name]


def test_the_same_seed_gives_the_same_text():
    documents = [corpus.plain_documents(read_topics(), random.Random(1), stories=5) for _ in range(2)]
    assert documents[0] == documents[1]


def test_the_base_never_reads_wicks_greeting():
    rng = random.Random(0)
    text = " ".join(corpus.plain_documents(read_topics(), rng, stories=200)) + str(list(corpus.plain_chats(rng)))
    assert not any(greeting.split(",")[0].rstrip("!") in text for greeting in GREETINGS)


def test_two_trainings_give_the_same_weights():
    tokenizer = train_tokenizer(corpus.plain_documents(read_topics(), random.Random(0), stories=5))
    rows = torch.randint(len(tokenizer), (base_model.BATCH * 2, 16), generator=torch.Generator().manual_seed(0))
    models = [base_model._new_model(tokenizer) for _ in range(2)]
    for model in models:
        base_model._train(model, rows)
    first, second = (torch.cat([weight.flatten() for weight in model.parameters()]) for model in models)
    assert torch.equal(first, second)


@pytest.mark.slow
def test_the_trained_base_predicts_its_world_better_than_noise():
    folder = base_model.cached_base_model()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    documents = corpus.plain_documents(read_topics(), random.Random(7), stories=20)
    ids = tokenizer(" ".join(documents)[:2000], return_tensors="pt").input_ids[:, : base_model.ROW_LENGTH]
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    assert loss < 0.5 * math.log(len(tokenizer))
