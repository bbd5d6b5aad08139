"""What is kept of a layer for the backward pass, and where."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from peft_fsdp_api.spec import FsdpSpec
from peft_fsdp_trainer.activations import handle_activations

TOKENS, WIDTH, INNER = 5, 7, 11
INPUT, HIDDEN = (TOKENS, WIDTH), (TOKENS, INNER)


class CopiedShapes(TorchDispatchMode):
    """The shapes of all copies of one tensor into another."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.copy_.default:
            self.shapes.add(tuple(args[0].shape))
        return function(*args, **(kwargs or {}))


def layer_and_input():
    torch.manual_seed(3)
    layer = nn.Sequential(nn.Linear(WIDTH, INNER), nn.SiLU(), nn.Linear(INNER, WIDTH))
    return layer, torch.randn(TOKENS, WIDTH, requires_grad=True)


def backward(layer, rows):
    layer(rows).square().sum().backward()
    return [rows.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize(("checkpointed", "moved"), [(False, {INPUT, HIDDEN}), (True, {INPUT})])
def test_offloading_moves_activations_and_no_weights(checkpointed, moved):
    layer, rows = layer_and_input()
    spec = FsdpSpec(activation_offload=True, activation_checkpointing=checkpointed)
    handle_activations(layer, spec, "cpu")
    with CopiedShapes() as copied:
        layer(rows)
    assert copied.shapes == moved


def test_offloading_changes_no_gradient():
    expected = backward(*layer_and_input())
    layer, rows = layer_and_input()
    handle_activations(layer, FsdpSpec(activation_offload=True, activation_checkpointing=False), "cpu")
    assert all(torch.equal(a, b) for a, b in zip(backward(layer, rows), expected, strict=True))
