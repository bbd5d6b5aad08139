"""Model FLOPs utilization: what share of a GPU's bf16 peak the model's own arithmetic takes. Used by `run_facts`.

A forward pass costs 2 floating-point operations per token and weight, a backward pass 2 for the gradient that is
passed on and 2 for the gradient of the weight: the 6 N of PaLM (arXiv 2204.02311, appendix B). Under LoRA the base's N
weights are frozen and cost 4; only the adapter's cost 6. Embedding lookups cost nothing. Attention between tokens is
left out, since packed documents make it small and data-dependent, and so is work that is done twice (activation
checkpointing, dequantizing): the figure is what the model needs, not what the GPU did.
"""

from typing import Final

import torch

from .model import Skeleton

FROZEN: Final = 4
TRAINED: Final = 6
TERA: Final = 1e12

PEAK_TERAFLOPS: Final[tuple[tuple[str, float], ...]] = (
    ("NVIDIA B200", 2250),
    ("NVIDIA H200 NVL", 835),
    ("NVIDIA H200", 989),
    ("NVIDIA H100 PCIe", 756),
    ("NVIDIA H100 NVL", 835),
    ("NVIDIA H100 80GB HBM3", 989),
    ("NVIDIA H800", 989),
    ("NVIDIA H20", 148),
    ("NVIDIA A100", 312),
    ("NVIDIA A800", 312),
    ("NVIDIA A40", 149.7),
    ("NVIDIA A30", 165),
    ("NVIDIA A10G", 70),
    ("NVIDIA A10", 125),
    ("NVIDIA L40S", 362),
    ("NVIDIA L40", 181),
    ("NVIDIA L4", 121),
    ("NVIDIA RTX 6000 Ada", 364),
    ("NVIDIA RTX A6000", 154.8),
    ("NVIDIA GeForce RTX 4090", 165.2),
    ("NVIDIA GeForce RTX 3090", 71),
)
"""Dense bf16 with float32 accumulation, from the vendor's data sheets, by the beginning of the name that the driver
gives; the first that fits counts, so longer names stand before shorter ones."""


def peak_flops(device_name: str) -> float | None:
    """Floating-point operations per second of one device; None where its peak is not known."""
    for name, teraflops in PEAK_TERAFLOPS:
        if device_name == name or device_name.startswith((f"{name} ", f"{name}-")):
            return teraflops * TERA
    return None


def flops_per_token(skeleton: Skeleton, trained: int) -> float:
    """Floating-point operations that one token costs in training `trained` parameters."""
    frozen = skeleton.parameter_count - trained
    if not skeleton.causal.config.tie_word_embeddings:
        weight: torch.Tensor = skeleton.causal.get_input_embeddings().weight
        frozen -= weight.numel()
    return FROZEN * frozen + TRAINED * trained
