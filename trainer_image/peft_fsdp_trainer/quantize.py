"""4-bit storage of frozen linear layers with bitsandbytes. Called by `loading`, one layer at a time.

The packed bits are stored as numbers of a float type, because FSDP shards float parameters only.
"""

import bitsandbytes as bnb
import torch
from torch import nn

from peft_fsdp_api.spec import QuantizationSpec

from .precision import TORCH_TYPES


def quantized_linear(linear: nn.Linear, weight: torch.Tensor, spec: QuantizationSpec) -> nn.Linear:
    """A 4-bit linear layer with this weight, on the weight's device; `linear` gives shape and (unquantized) bias."""
    with torch.device("meta"):
        packed = bnb.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=False,
            compute_dtype=TORCH_TYPES[spec.compute_dtype],
            compress_statistics=spec.double_quant,
            quant_type=spec.scheme,
            quant_storage=TORCH_TYPES[spec.storage_dtype],
        )
    packed.bias = linear.bias
    # The CPU kernel for AVX512 repacks the weight in place at the first evaluation and takes FSDP's storage away.
    packed.support_avx512bf16_for_cpu = False
    # FSDP swaps the parameter object; only the quantization state that the module holds too survives that.
    packed.weight = bnb.nn.Params4bit(
        weight.contiguous(),
        requires_grad=False,
        compress_statistics=spec.double_quant,
        quant_type=spec.scheme,
        quant_storage=TORCH_TYPES[spec.storage_dtype],
        module=packed,
    ).to(weight.device)
    result: nn.Linear = packed
    return result


def dequantized(linear: nn.Module) -> torch.Tensor:
    """The weight of a linear layer as a float matrix, whether it is packed or not."""
    state = getattr(linear, "quant_state", None)
    weight = linear.weight
    assert isinstance(weight, torch.Tensor)
    if state is None:
        return weight.detach()
    matrix: torch.Tensor = bnb.functional.dequantize_4bit(weight.detach(), state)
    return matrix
