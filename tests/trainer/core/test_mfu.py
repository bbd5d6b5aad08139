"""The arithmetic of a model and the peak of a device."""

import pytest
import torch
from transformers import LlamaConfig

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
    assert flops_per_token(skeleton, ADAPTER) == 4 * (LAYER + head_and_norm) + 6 * ADAPTER


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
