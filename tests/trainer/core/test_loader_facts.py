"""On 2 real ranks and a model large enough to see: bits, memory and buffers against `from_pretrained`."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.bench.loader import ALLOWANCE_MIB, Loaded, load_rank, over_bar, reference_rank
from tests.trainer.core.gang import run_ranks
from tests.trainer.core.test_loading import loaded

pytestmark = pytest.mark.slow

SHAPE = {"vocab_size": 8000, "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 6,
         "num_attention_heads": 16, "num_key_value_heads": 4}  # fmt: skip
"""76 million parameters and 16 of the embedding, of which the head has its own where it is not tied."""


@pytest.fixture(scope="module", params=[("sharded", False), ("single", True)], ids=["sharded", "single-tied"])
def model(request, tmp_path_factory) -> Path:
    layout, tied = request.param
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp(layout)
    causal = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=tied)).to(torch.bfloat16)
    causal.save_pretrained(folder, max_shard_size="50MB" if layout == "sharded" else "5GB")
    return folder


@pytest.mark.parametrize("nested", [None, False, True], ids=["16-bit", "nf4", "nf4-nested"])
def test_bits_and_memory_of_two_ranks(model, tmp_path, nested):
    reference = run_ranks(reference_rank, 1, tmp_path / "reference", str(model), nested)[0].value
    ranks = [Loaded(**ending.value) for ending in run_ranks(load_rank, 2, tmp_path / "ranks", str(model), nested)]
    assert json.loads((model / "config.json").read_text())["num_key_value_heads"] == 4
    assert ranks[0].digests == reference["digests"]
    assert max(over_bar(rank) for rank in ranks) <= ALLOWANCE_MIB


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_computed_buffers_are_on_the_real_device_and_equal(model):
    expected = dict(AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).named_buffers())
    ours = dict(loaded(model).causal.named_buffers())
    assert "model.rotary_emb.inv_freq" in expected
    assert ours.keys() == expected.keys()
    assert all(ours[name].device.type == "cpu" and ours[name].equal(value) for name, value in expected.items())
