"""torch.compile of a decoder layer, as a whole and for good. Called by `fsdp2`.

All layers of a kind share one graph, of which there are a few: with and without gradients, and of fixed and of any
length. By default torch runs the ninth of a function eagerly, and says so in a warning alone.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import torch
from bitsandbytes.nn.modules import fix_4bit_weight_quant_state_from_module
from torch import nn

from .errors import Unsupported
from .quantize import packed_linears

GRAPHS: Final = 64
"""Graphs of one function: two kinds of layers, in training and evaluation, have more than the eight of the default."""


def compile_layer(layer: nn.Module) -> None:
    """Compile the forward alone: FSDP's hooks, which gather and free, stay outside of the graph."""
    # Imported here: only a job that compiles pays for the compiler.
    from torch._dynamo import config

    config.recompile_limit = GRAPHS
    config.fail_on_recompile_limit_hit = True
    layer.forward = _run(layer, torch.compile(layer.forward))


def _run(layer: nn.Module, compiled: Callable[..., Any]) -> Callable[..., Any]:
    from torch._dynamo.exc import FailOnRecompileLimitHit

    packed = packed_linears(layer)

    @wraps(compiled)
    def run(*inputs: Any, **named: Any) -> Any:
        for _, linear in packed:
            # FSDP has put the gathered bytes into place, without how to read them. Inside of the graph the linear
            # layer would put that back, which breaks the graph at each of them.
            fix_4bit_weight_quant_state_from_module(linear)
        try:
            return compiled(*inputs, **named)
        except FailOnRecompileLimitHit as error:
            raise Unsupported(
                f"training.compile is true, but {type(layer).__name__} needs more than {GRAPHS} graphs",
                hint="Set training.compile to false; the log says what the graphs differ in.",
            ) from error

    return run
