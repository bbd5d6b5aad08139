"""What becomes of a decoder layer's activations until the backward pass. Called by `fsdp1` and `fsdp2`."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch import nn
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
    """Move what the backward pass needs of the layer to host memory until then."""
    layer.forward = _on_host(layer.forward, pin)


def _on_host(forward: Callable[..., Any], pin: bool) -> Callable[..., Any]:
    @wraps(forward)
    def run(*inputs: Any, **named: Any) -> Any:
        with torch.autograd.graph.save_on_cpu(pin_memory=pin):
            return forward(*inputs, **named)

    return run
