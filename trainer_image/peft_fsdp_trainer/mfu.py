"""Model FLOPs utilization: what share of a GPU's bf16 peak the model's own arithmetic takes. Used by `train` and
`run_facts`.

A forward pass costs 2 floating-point operations per token and weight, a backward pass 2 for the gradient that is
passed on and 2 for the gradient of the weight: the 6 N of PaLM (arXiv 2204.02311, appendix B). Under LoRA the base's N
weights are frozen and cost 4; only the adapter's cost 6. Embedding lookups cost nothing, and of the experts of a
mixture only those cost that a token is sent to. Attention between tokens is
left out, since packed documents make it small and data-dependent, and so is work that is done twice (activation
checkpointing, dequantizing): the figure is what the model needs, not what the GPU did.
"""

from typing import Any, Final

import torch
from torch import nn

from .model import Skeleton

FROZEN: Final = 4
TRAINED: Final = 6
TERA: Final = 1e12

EXPERTS: Final = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
CHOSEN: Final = ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_top_k", "moe_k")
"""What configurations call the experts of a layer, and those that a token is sent to."""

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


def flops_per_token(skeleton: Skeleton) -> float | None:
    """Floating-point operations that one token costs in training; None where a mixture does not say which weights a
    token meets. To be asked before the weights are loaded: packed in 4 bit, or flat, they hide how many they are.
    """
    config = skeleton.causal.config.get_text_config()
    count, chosen = _first_number(config, EXPERTS), _first_number(config, CHOSEN)
    experts, share = _expert_modules(skeleton.peft, count), 1.0
    if count > 1 or experts:
        if not (experts and count and chosen):
            return None
        share = chosen / count
    lookups, total = _lookups(skeleton), 0.0
    for name, parameter in skeleton.peft.named_parameters():
        if parameter not in lookups:
            cost = TRAINED if parameter.requires_grad else FROZEN
            total += cost * parameter.numel() * (share if name.startswith(experts) else 1.0)
    return total


def _first_number(config: Any, names: tuple[str, ...]) -> int:
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if isinstance(value, int)), 0)


def _expert_modules(model: nn.Module, count: int) -> tuple[str, ...]:
    """The beginning of the names of all weights of experts, adapters on them included."""
    found = set()
    for name, module in model.named_modules():
        # PEFT puts itself around the module.
        path = name.split(".base_layer")[0]
        fused = not isinstance(module, nn.Conv1d) and any(
            parameter.dim() == 3 and len(parameter) == count > 1 for parameter in module.parameters(recurse=False)
        )
        if fused or path.endswith(".experts"):
            found.add(f"{path}.")
    return tuple(found)


def _lookups(skeleton: Skeleton) -> set[torch.Tensor]:
    """Tables of which a token takes one row; not the one that is the head as well."""
    embeddings = [module for module in skeleton.peft.modules() if isinstance(module, nn.Embedding)]
    return {module.weight for module in embeddings} - {skeleton.head.weight}
