"""Fills the skeleton: decoder layer by decoder layer, each read, quantized, sharded and freed before the next.

Called by `train`. No rank ever holds more than its shards and one layer, which is what lets a 70B base start on
GPUs that could not hold it, and on hosts that could not hold it once per rank (huggingface/transformers#43749).
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import nn

from peft_fsdp_api.spec import QuantizationSpec

from .errors import ModelNotAvailable, Unsupported
from .model import ADAPTER, Skeleton, checkpoint_name
from .precision import ADAPTER_TYPE
from .prequantized import is_packed, read_packed
from .quantize import dequantized, pack, packed_linear
from .share import spread
from .stored import Sources, find_sources
from .weights import COPY_AGAIN, WeightFiles

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

    @cached_property
    def prequantized(self) -> bool:
        """Whether the files hold weights in 4 bit."""
        return any(is_packed(self.weights, name) for name in self.weights.files)

    def load(self, shard_layer: Callable[[nn.Module], nn.Module], report: Callable[[int, int], None]) -> None:
        """Fill every module and hand each decoder layer to `shard_layer` as soon as it is complete; what that returns
        takes its place.

        `report(done, total)` counts layers, with what lies outside of them as the last.
        """
        layers = self.skeleton.layers
        for done, (name, layer) in enumerate(layers):
            self._fill(name, layer)
            self._put(name, shard_layer(layer))
            report(done + 1, len(layers) + 1)
        self._fill("", self.skeleton.peft)
        self._fill_buffers()
        self.weights.close()
        report(len(layers) + 1, len(layers) + 1)

    def _put(self, name: str, module: nn.Module) -> None:
        path, _, child = name.rpartition(".")
        setattr(self.skeleton.peft.get_submodule(path), child, module)

    def _fill(self, prefix: str, root: nn.Module) -> None:
        """Give weights to all parameters below `root` that have none yet."""
        tied: dict[nn.Parameter, nn.Parameter] = {}
        for name, module in list(root.named_modules(prefix=prefix)):
            packs = bool(prefix) and self._is_packed(name, module)
            for key, parameter in list(module.named_parameters(recurse=False)):
                if parameter.is_meta and not name.endswith(MAGNITUDE) and not (packs and key == "weight"):
                    if parameter not in tied:
                        tied[parameter] = self._parameter(f"{name}.{key}", parameter)
                    module.register_parameter(key, tied[parameter])
            if packs:
                self._pack(name, root, prefix)
        for name, module in list(root.named_modules(prefix=prefix)):
            if name.endswith(MAGNITUDE) and module.weight.is_meta:
                self._fill_magnitude(module, name)

    def _parameter(self, name: str, meta: nn.Parameter) -> nn.Parameter:
        if "lora_" in name:
            return nn.Parameter(self._new_adapter(name, meta.shape))
        dtype = ADAPTER_TYPE if meta.requires_grad else meta.dtype
        value = spread(self._stored(name, meta.shape), dtype, self.device)
        return nn.Parameter(value, requires_grad=meta.requires_grad)

    def _stored(self, name: str, shape: torch.Size) -> torch.Tensor:
        """The parameter as the files have it. Raises where they do not, or in another shape."""
        found, sources = self._sources(name)
        if sources is None:
            raise ModelNotAvailable(f"the model in {self.weights.folder} has no tensor {found}", hint=COPY_AGAIN)
        stored = sources.read(found, self.weights, self.skeleton.causal.config)
        if stored.shape != shape:
            in_4_bit = " in 4 bit" if is_packed(self.weights, sources.parts[0][0]) else ""
            raise Unsupported(
                f"{name} has shape {tuple(stored.shape)}{in_4_bit} in the files, but the model wants {tuple(shape)}",
                hint=COPY_AGAIN,
            )
        return stored

    @cached_property
    def _made_of(self) -> dict[str, Sources]:
        return find_sources(self.skeleton.causal, self.weights.files)

    def _sources(self, parameter: str) -> tuple[str, Sources | None]:
        """Name and stored tensors; files may have been saved without the head, or without the tied head."""
        name = checkpoint_name(parameter)
        causal = self.skeleton.causal
        tied = getattr(causal, "_tied_weights_keys", None) or {}
        for candidate in (name, name.removeprefix(f"{causal.base_model_prefix}."), tied.get(name, name)):
            if candidate in self._made_of:
                return candidate, self._made_of[candidate]
        return name, None

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

    def _is_packed(self, name: str, module: nn.Module) -> bool:
        """Whether the module is a frozen linear layer that is held in 4 bit."""
        frozen_linear = isinstance(module, nn.Linear) and not module.weight.requires_grad
        if self.quantization is None or not frozen_linear or "lora_" in name or "modules_to_save" in name:
            return False
        return not self.prequantized or self._packed_name(name) is not None

    def _packed_name(self, module: str) -> str | None:
        """The packed weight of a linear layer in the files."""
        _, sources = self._sources(f"{module}.weight")
        stored = sources.parts[0][0] if sources else ""
        return stored if is_packed(self.weights, stored) else None

    def _pack(self, name: str, root: nn.Module, prefix: str) -> None:
        assert self.quantization is not None
        path, _, child = name.removeprefix(f"{prefix}.").rpartition(".")
        parent = root.get_submodule(path)
        linear = getattr(parent, child)
        stored = self._packed_name(name)
        if stored is not None:
            weight = read_packed(self.weights, stored, self.device)
        else:
            meta = linear.weight
            weight = pack(self._stored(f"{name}.weight", meta.shape), meta.dtype, self.quantization, self.device)
        setattr(parent, child, packed_linear(linear, weight, self.quantization))

    def _fill_magnitude(self, module: nn.Module, name: str) -> None:
        """DoRA's magnitude starts as the row norms of the base weight (arXiv 2402.09353, section 4)."""
        owner = self.skeleton.peft.get_submodule(name.removesuffix(f".{MAGNITUDE}"))
        weight = dequantized(owner.base_layer)
        magnitude = torch.linalg.norm(weight.to(ADAPTER_TYPE), dim=1)
        module.weight = nn.Parameter(magnitude)

    def _kept_type(self, key: str) -> torch.dtype | None:
        """The type that the model's code asks for in spite of the run's, as for the bias of an expert router."""
        kept: dict[str, torch.dtype] = self.skeleton.causal._get_dtype_plan(self.skeleton.dtype)
        return kept.get(key)

    def _fill_buffers(self) -> None:
        """Tables that are computed, such as rotary frequencies, and stored ones: on the real device, from the start."""
        causal = self.skeleton.causal
        for name, module in self.skeleton.peft.named_modules():
            empty = [(key, buffer) for key, buffer in module.named_buffers(recurse=False) if buffer.is_meta]
            for key, buffer in empty:
                persistent = key not in module._non_persistent_buffers_set
                value = torch.empty_like(buffer, device=self.device)
                if persistent:
                    dtype = self._kept_type(key) or buffer.dtype
                    value = spread(self._stored(f"{name}.{key}", buffer.shape), dtype, self.device)
                module.register_buffer(key, value, persistent=persistent)
            if any(key in module._non_persistent_buffers_set for key, _ in empty):
                causal._init_weights(module)
