"""Fills the skeleton: decoder layer by decoder layer, each read, quantized, sharded and freed before the next.

Called by `train`. No rank ever holds more than its shards and one layer, which is what lets a 70B base start on
GPUs that could not hold it, and on hosts that could not hold it once per rank (huggingface/transformers#43749).
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from peft_fsdp_api.spec import QuantizationSpec

from .errors import Unsupported
from .model import ADAPTER, Skeleton, checkpoint_name
from .quantize import dequantized, quantized_linear
from .weights import WeightFiles

ADAPTER_TYPE: Final = torch.float32
MAGNITUDE: Final = f"lora_magnitude_vector.{ADAPTER}"
ZEROS: Final = ("lora_B", "lora_embedding_A")


@dataclass(frozen=True)
class Loader:
    """What is needed to give a module of the skeleton its weights."""

    skeleton: Skeleton
    weights: WeightFiles
    device: torch.device
    quantization: QuantizationSpec | None
    seed: int

    def load(self, shard_layer: Callable[[nn.Module], None], report: Callable[[int, int], None]) -> None:
        """Fill every module and hand each decoder layer to `shard_layer` as soon as it is complete.

        `report(done, total)` counts layers, with what lies outside of them as the last.
        """
        layers = self.skeleton.layers
        for done, (name, layer) in enumerate(layers):
            self._fill(name, layer)
            shard_layer(layer)
            report(done + 1, len(layers) + 1)
        self._fill("", self.skeleton.peft)
        self._fill_buffers()
        self.weights.close()
        report(len(layers) + 1, len(layers) + 1)

    def _fill(self, prefix: str, root: nn.Module) -> None:
        """Give weights to all parameters below `root` that have none yet."""
        tied: dict[nn.Parameter, nn.Parameter] = {}
        for name, module in list(root.named_modules(prefix=prefix)):
            for key, parameter in list(module.named_parameters(recurse=False)):
                if parameter.is_meta and not name.endswith(MAGNITUDE):
                    if parameter not in tied:
                        tied[parameter] = self._parameter(f"{name}.{key}", parameter)
                    module.register_parameter(key, tied[parameter])
        for name, module in list(root.named_modules(prefix=prefix)):
            if prefix and self._is_quantized(name, module):
                self._quantize(name, root, prefix)
        for name, module in list(root.named_modules(prefix=prefix)):
            if name.endswith(MAGNITUDE) and module.weight.is_meta:
                self._fill_magnitude(module, name)

    def _parameter(self, name: str, meta: nn.Parameter) -> nn.Parameter:
        if "lora_" in name:
            return nn.Parameter(self._new_adapter(name, meta.shape))
        stored = self.weights.read(self._stored_name(name))
        if stored.shape != meta.shape:
            raise Unsupported(
                f"{name} has shape {tuple(stored.shape)} in the files, but the model wants {tuple(meta.shape)}"
            )
        dtype = ADAPTER_TYPE if meta.requires_grad else meta.dtype
        return nn.Parameter(stored.to(self.device, dtype), requires_grad=meta.requires_grad)

    def _stored_name(self, parameter: str) -> str:
        """The tensor in the files; they may have been saved without the head, or without the tied head."""
        name = checkpoint_name(parameter)
        causal = self.skeleton.causal
        tied = getattr(causal, "_tied_weights_keys", None) or {}
        candidates = [name, name.removeprefix(f"{causal.base_model_prefix}."), tied.get(name, name)]
        return next((candidate for candidate in candidates if candidate in self.weights), name)

    def _new_adapter(self, name: str, shape: torch.Size) -> torch.Tensor:
        """PEFT's initial values, from a seed per parameter: the same on any number of ranks and any device."""
        if any(kind in name for kind in ZEROS):
            return torch.zeros(shape, dtype=ADAPTER_TYPE, device=self.device)
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        value = torch.empty(shape, dtype=ADAPTER_TYPE)
        if "lora_embedding_B" in name:
            nn.init.normal_(value, generator=generator)
        elif "lora_A" in name and len(shape) == 2:
            nn.init.kaiming_uniform_(value, a=math.sqrt(5), generator=generator)
        else:
            raise Unsupported(f"{name}: adapters on this kind of module are not supported; take it out of lora.targets")
        return value.to(self.device)

    def _is_quantized(self, name: str, module: nn.Module) -> bool:
        frozen_linear = isinstance(module, nn.Linear) and not module.weight.requires_grad
        return self.quantization is not None and frozen_linear and "lora_" not in name and "modules_to_save" not in name

    def _quantize(self, name: str, root: nn.Module, prefix: str) -> None:
        assert self.quantization is not None
        path, _, child = name.removeprefix(f"{prefix}.").rpartition(".")
        parent = root.get_submodule(path)
        linear = getattr(parent, child)
        setattr(parent, child, quantized_linear(linear, linear.weight.data, self.quantization))

    def _fill_magnitude(self, module: nn.Module, name: str) -> None:
        """DoRA's magnitude starts as the row norms of the base weight (arXiv 2402.09353, section 4)."""
        owner = self.skeleton.peft.get_submodule(name.removesuffix(f".{MAGNITUDE}"))
        weight = dequantized(owner.base_layer)
        magnitude = torch.linalg.norm(weight.to(ADAPTER_TYPE), dim=1)
        module.weight = nn.Parameter(magnitude)

    def _fill_buffers(self) -> None:
        """Tables that are computed, not stored, such as rotary frequencies: on the real device, from the start."""
        causal = self.skeleton.causal
        for module in self.skeleton.peft.modules():
            computed = [key for key, buffer in module.named_buffers(recurse=False) if buffer.is_meta]
            for key in computed:
                empty = torch.empty_like(module.get_buffer(key), device=self.device)
                module.register_buffer(key, empty, persistent=False)
            if computed:
                causal._init_weights(module)
