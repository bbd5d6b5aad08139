"""The arithmetic of a model and the peak of a device."""

import pytest
import torch
from transformers import LlamaConfig, MixtralConfig

from peft_fsdp_api.spec import LoraSpec, ModelSpec
from peft_fsdp_trainer.mfu import flops_per_token, peak_flops
from peft_fsdp_trainer.model import build_skeleton

LAYER = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 128 + 2 * 64
VOCABULARY = 100 * 64
ADAPTER = 4 * ((64 + 64) + 2 * (64 + 32) + (64 + 64) + 2 * (64 + 128) + (128 + 64))


@pytest.mark.parametrize("tied", [False, True])
def test_frozen_weights_cost_four_and_trained_ones_six(tied):
    config = LlamaConfig(
        vocab_size=100, hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=tied,
    )  # fmt: skip
    skeleton = build_skeleton(config, ModelSpec(source="a/b"), LoraSpec(rank=4), torch.bfloat16, "sdpa")
    head_and_norm = VOCABULARY + 64
    assert flops_per_token(skeleton) == 4 * (LAYER + head_and_norm) + 6 * ADAPTER


MIXTURE = {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 1,
           "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}  # fmt: skip
ATTENTION = 64 * 64 + 2 * 64 * 32 + 64 * 64
EXPERT, RANK = 3 * 64 * 32, 4


def mixture(chosen, targets):
    config = MixtralConfig(num_local_experts=8, num_experts_per_tok=chosen, **MIXTURE)
    lora = LoraSpec(rank=RANK, dropout=0.0, targets=targets)
    return build_skeleton(config, ModelSpec(source="a/b"), lora, torch.bfloat16, "sdpa")


@pytest.mark.parametrize("chosen", [1, 2, 8])
def test_of_the_experts_only_those_cost_that_a_token_is_sent_to(chosen):
    always = VOCABULARY + ATTENTION + 8 * 64 + 3 * 64
    adapter = RANK * (64 + 64)
    expected = 4 * (always + chosen * EXPERT) + 6 * adapter
    assert flops_per_token(mixture(chosen, ["q_proj"])) == expected


# PEFT doubles the rank for fused gate and up projections by a name that it then does not meet.
@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning")
def test_adapters_on_experts_count_as_their_experts_do():
    """One expert's, when one of eight is chosen; PEFT may give two projections in one weight twice the rank."""
    skeleton = mixture(1, ["all-linear"])
    named = [(name, value) for name, value in skeleton.peft.named_parameters() if "lora_" in name]
    on_experts = sum(value.numel() for name, value in named if ".experts." in name)
    elsewhere = sum(value.numel() for name, value in named) - on_experts
    assert on_experts > 0
    always = VOCABULARY + ATTENTION + 8 * 64 + 3 * 64
    assert flops_per_token(skeleton) == 4 * (always + EXPERT) + 6 * (elsewhere + on_experts / 8)


@pytest.mark.parametrize(
    "changed", [{"num_experts_per_tok": None}, {"num_local_experts": None}], ids=["chosen unknown", "number unknown"]
)
def test_a_mixture_that_does_not_say_what_it_chooses_has_no_figure(changed):
    skeleton = mixture(2, ["q_proj"])
    for name, value in changed.items():
        object.__setattr__(skeleton.causal.config, name, value)
    assert flops_per_token(skeleton) is None


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA H20", 148),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA L40S", 362),
    ],
)
def test_peak_of_a_device(name, teraflops):
    assert peak_flops(name) == teraflops * 1e12


@pytest.mark.parametrize("name", ["CPU", "NVIDIA H2000", "AMD Instinct MI300X"])
def test_an_unknown_device_has_no_peak(name):
    assert peak_flops(name) is None
