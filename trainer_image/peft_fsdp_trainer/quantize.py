"""4-bit storage of frozen linear layers with bitsandbytes. Called by `loading` and `prequantized`, a weight at a time.

The packed values are bytes, and FSDP2 shards them as such. As numbers of a float type they would be changed on GPUs,
where torch copies bfloat16 by way of float32 and makes one of all NaN (pytorch#159333, bitsandbytes#1945).
"""

from dataclasses import dataclass
from typing import Final

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import QuantState
from torch import nn

from peft_fsdp_api.spec import QuantizationSpec

from .precision import TORCH_TYPES
from .share import Share

BLOCK: Final = 64
"""Numbers that share one scale, bitsandbytes' default."""
NESTED_BLOCK: Final = 256
PIECE: Final = 2**20
"""Numbers quantized at once: bitsandbytes' CPU kernel needs some 20 bytes of scratch for each."""


@dataclass(frozen=True)
class Packed:
    """A weight in 4 bit."""

    data: torch.Tensor
    """The packed values as a column of bytes, two numbers in each."""
    state: QuantState
    """How to read them."""


def pack(weight: torch.Tensor, dtype: torch.dtype, spec: QuantizationSpec, device: torch.device) -> Packed:
    """Quantize a weight after casting it to `dtype`: each rank its share of the blocks, all ranks get all of them.

    Blocks are independent, so the bits are those of bitsandbytes' `quantize_4bit` of the whole weight.
    """
    flat = weight.reshape(-1)
    share = Share.of(-(-flat.numel() // BLOCK))
    values = torch.zeros(share.size * BLOCK // 2, dtype=torch.uint8, device=device)
    scales = torch.zeros(share.size, dtype=torch.float32, device=device)
    mine = flat[share.start * BLOCK : share.end * BLOCK]
    for start in range(0, mine.numel(), PIECE):
        piece = mine[start : start + PIECE].to(device, dtype)
        packed, absmax = torch.ops.bitsandbytes.quantize_4bit.default(piece, BLOCK, spec.scheme, torch.uint8)
        values[start // 2 : start // 2 + packed.numel()] = packed.view(-1)
        scales[start // BLOCK : start // BLOCK + absmax.numel()] = absmax
    values = share.gather(values)[: -(-flat.numel() // 2)]
    scales = share.gather(scales)[: share.length]
    return Packed(values.unsqueeze(1), _state(scales, weight.shape, dtype, spec))


def _state(scales: torch.Tensor, shape: torch.Size, dtype: torch.dtype, spec: QuantizationSpec) -> QuantState:
    """The state that `quantize_4bit` makes of these scales, which it quantizes too for `doubleQuant`."""
    offset = state2 = None
    if spec.double_quant:
        offset = scales.mean()
        scales, state2 = bnb.functional.quantize_blockwise(scales - offset, blocksize=NESTED_BLOCK)
    return QuantState(
        absmax=scales,
        shape=shape,
        code=bnb.functional.get_4bit_type(spec.scheme, device=scales.device),
        blocksize=BLOCK,
        quant_type=spec.scheme,
        dtype=dtype,
        offset=offset,
        state2=state2,
    )


def packed_linear(linear: nn.Linear, weight: Packed, spec: QuantizationSpec) -> nn.Linear:
    """A 4-bit linear layer with this weight; `linear` gives shape and (unquantized) bias."""
    with torch.device("meta"):
        packed = bnb.nn.Linear4bit(
            linear.in_features,
            linear.out_features,
            bias=False,
            compute_dtype=TORCH_TYPES[spec.compute_dtype],
            compress_statistics=spec.double_quant,
            quant_type=spec.scheme,
        )
    packed.bias = linear.bias
    # The CPU kernel for AVX512 repacks the weight in place at the first evaluation and takes FSDP's storage away.
    packed.support_avx512bf16_for_cpu = False
    packed.weight = _parameter(weight, packed)
    # FSDP swaps the parameter object; only the quantization state that the module holds too survives that.
    packed.quant_state = weight.state
    result: nn.Linear = packed
    return result


def packed_linears(layer: nn.Module) -> list[tuple[str, bnb.nn.Linear4bit]]:
    """The 4-bit linear layers of a module, by name."""
    return [(name, module) for name, module in layer.named_modules() if isinstance(module, bnb.nn.Linear4bit)]


def store_as(layer: nn.Module, dtype: torch.dtype) -> None:
    """Call the packed bytes of a layer numbers of a float type, for FSDP1, which flattens nothing else."""
    for _, linear in packed_linears(layer):
        data = linear.weight.detach().reshape(-1)
        if data.data_ptr() % dtype.itemsize:
            data = data.clone()
        linear.weight = _parameter(Packed(data.view(dtype).unsqueeze(1), linear.quant_state), linear)


def _parameter(weight: Packed, linear: bnb.nn.Linear4bit) -> bnb.nn.Params4bit:
    return bnb.nn.Params4bit(
        weight.data,
        requires_grad=False,
        quant_state=weight.state,
        blocksize=weight.state.blocksize,
        compress_statistics=weight.state.nested,
        quant_type=weight.state.quant_type,
        quant_storage=weight.data.dtype,
        module=linear,
        bnb_quantized=True,
    )


def dequantized(linear: nn.Module) -> torch.Tensor:
    """The weight of a linear layer as a float matrix, whether it is packed or not."""
    state = getattr(linear, "quant_state", None)
    weight = linear.weight
    assert isinstance(weight, torch.Tensor)
    if state is None:
        return weight.detach()
    matrix: torch.Tensor = bnb.functional.dequantize_4bit(weight.detach(), state)
    return matrix
