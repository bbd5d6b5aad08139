"""What becomes of a decoder layer's activations until the backward pass. Called by `fsdp1` and `fsdp2`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from peft_fsdp_api.spec import FsdpSpec


def handle_activations(layer: nn.Module, spec: FsdpSpec, device_type: str) -> None:
    """Recompute or offload them, as `spec` says; before the layer is sharded."""
    if spec.activation_checkpointing:
        _recompute_activations(layer)
    if spec.activation_offload:
        _offload_activations(layer, pin=device_type == "cuda")


def _recompute_activations(layer: nn.Module) -> None:
    """Keep only the layer's input; FSDP gathers the weights before the recomputation as it does for the forward."""
    layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def _offload_activations(layer: nn.Module, pin: bool) -> None:
    """Move what the backward pass needs of the layer to host memory until then, but for its weights."""
    layer.forward = _on_host(layer, layer.forward, pin)


def _on_host(layer: nn.Module, forward: Callable[..., Any], pin: bool) -> Callable[..., Any]:
    @wraps(forward)
    def run(*inputs: Any, **named: Any) -> Any:
        # Only now FSDP has put the gathered weights into place.
        offload = _Offload(_memory_of(layer), pin)
        with saved_tensors_hooks(offload.pack, offload.unpack):
            return forward(*inputs, **named)

    return run


@dataclass(frozen=True)
class _Offload:
    """Hooks for tensors that autograd saves. A weight stays where it is: FSDP frees its memory after the forward
    pass and fills it again before the backward pass, and a copy per layer would bring the whole model to the host."""

    weights: frozenset[int]
    """Addresses of memory that holds weights; a transposed weight is saved as another tensor on the same memory."""
    pin: bool

    def pack(self, tensor: torch.Tensor) -> tuple[torch.device, torch.Tensor]:
        if _address(tensor) in self.weights:
            return tensor.device, tensor
        # Both copies run on the stream that makes and uses the tensor, so neither has to be waited for.
        on_host = torch.empty(tensor.size(), dtype=tensor.dtype, layout=tensor.layout, pin_memory=self.pin)
        on_host.copy_(tensor, non_blocking=self.pin)
        return tensor.device, on_host

    def unpack(self, packed: tuple[torch.device, torch.Tensor]) -> torch.Tensor:
        device, tensor = packed
        return tensor.to(device, non_blocking=self.pin)


def _memory_of(layer: nn.Module) -> frozenset[int]:
    return frozenset(_address(parameter) for parameter in layer.parameters())


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
