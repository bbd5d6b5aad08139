"""Base models that are stored in 4 bit already. Called by `model`, `loading` and `merge`.

bitsandbytes saves a packed weight as `NAME` and its quantization state as `NAME.absmax`, `NAME.quant_map`, and so on.
The bits are taken as they are; only the type they are stored as changes to one that FSDP can shard.
"""

from typing import Any, Final

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import QuantState

from peft_fsdp_api.spec import ModelSpec, QuantizationSpec

from .errors import Unsupported
from .quantize import Packed
from .share import spread
from .weights import WeightFiles

STATE: Final = ".quant_state.bitsandbytes__"
PARTS: Final = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map")
OTHER_HINT: Final = "Name the 16-bit base and let spec.quantization quantize it while it is loaded."


def check_quantization(stored: dict[str, Any], model: ModelSpec, spec: QuantizationSpec | None) -> None:
    """Raise Unsupported where the base's own quantization is not NF4, or not what the job says."""
    method = str(stored.get("quant_method", "an unnamed method"))
    if not stored.get("load_in_4bit", stored.get("_load_in_4bit")):
        named = "bitsandbytes in 8 bit" if method.startswith("bitsandbytes") else method
        raise Unsupported(f"model.source {model.source} is quantized with {named}; only NF4 is read", hint=OTHER_HINT)
    scheme = stored.get("bnb_4bit_quant_type", "fp4")
    double_quant = bool(stored.get("bnb_4bit_use_double_quant"))
    if scheme != "nf4":
        raise Unsupported(f"model.source {model.source} is stored in {scheme}; only NF4 is read", hint=OTHER_HINT)
    wanted = f"Write quantization: {{scheme: nf4, doubleQuant: {str(double_quant).lower()}}} in the spec."
    if spec is None:
        raise Unsupported(f"model.source {model.source} is stored in NF4, but quantization is not set", hint=wanted)
    if spec.double_quant != double_quant:
        raise Unsupported(
            f"model.source {model.source} is stored with doubleQuant {str(double_quant).lower()}, but "
            f"quantization.doubleQuant is {str(spec.double_quant).lower()}",
            hint=wanted,
        )


def is_packed(weights: WeightFiles, name: str) -> bool:
    """Whether the files hold the tensor in 4 bit."""
    return f"{name}{STATE}nf4" in weights


def is_state(weights: WeightFiles, name: str) -> bool:
    """Whether the tensor is part of a packed tensor's state."""
    owners = (name.removesuffix(part) for part in (*PARTS, f"{STATE}nf4"))
    return any(owner != name and is_packed(weights, owner) for owner in owners)


def read_packed(weights: WeightFiles, name: str, device: torch.device) -> Packed:
    """A packed weight with its state."""
    values = spread(weights.read(name).view(torch.uint8), torch.uint8, device)
    return Packed(values.reshape(-1, 1), _state(weights, name, device))


def read_dequantized(weights: WeightFiles, name: str) -> torch.Tensor:
    """The float matrix of a packed weight, in the type it had before it was quantized."""
    state = _state(weights, name, torch.device("cpu"))
    matrix: torch.Tensor = bnb.functional.dequantize_4bit(weights.read(name), state)
    return matrix


def _state(weights: WeightFiles, name: str, device: torch.device) -> QuantState:
    # Copies: the state stays for the whole run, and the files are closed after loading.
    parts = {part: weights.read(f"{name}{part}").clone() for part in PARTS if f"{name}{part}" in weights}
    described = {f"quant_state.bitsandbytes__{kind}": weights.read(f"{name}{STATE}{kind}") for kind in ("nf4",)}
    stored = {part.removeprefix("."): value for part, value in parts.items()}
    return QuantState.from_dict({**stored, **described}, device)
