"""Packed weights must come out of sharding as they went in: tried on the first decoder layer of every run.

Called by `train` between `loading` and `sharding`. 4-bit values do not survive a cast or a copy that treats them as
numbers (bitsandbytes#1945); nothing else would notice, the loss would only be bad. So one layer is gathered over the
run's own mesh and compared with what was packed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import torch
from torch import nn

from .distributed import Ranks
from .errors import QuantizationSelfCheckFailed
from .quantize import packed_linears

ROWS: Final = 16
TOLERANCE: Final = 1e-2


Tensors = dict[str, torch.Tensor]


class SelfCheck:
    """Stands in for `shard_layer`: the first layer with packed weights is compared before and after."""

    def __init__(
        self,
        shard_layer: Callable[[nn.Module], nn.Module],
        gathered: Callable[[nn.Module], AbstractContextManager[None]],
        ranks: Ranks,
    ) -> None:
        self._shard_layer = shard_layer
        self._gathered = gathered
        self._ranks = ranks
        self.words = ""
        """What was found, for log and card; empty where nothing is packed."""

    def __call__(self, layer: nn.Module) -> nn.Module:
        """Shard the layer. Raises QuantizationSelfCheckFailed on every rank where any rank gathers other bits."""
        packed = {} if self.words else _packed(layer)
        outputs = _outputs(layer) if packed else {}
        sharded = self._shard_layer(layer)
        if packed:
            with self._gathered(sharded):
                # Weights of another size could not be multiplied: the bytes first.
                problems = _different_bytes(packed, _packed(layer)) or _different_outputs(outputs, _outputs(layer))
            self._conclude(len(packed), problems)
        return sharded

    def _conclude(self, count: int, problems: list[str]) -> None:
        if self._ranks.sum([len(problems)])[0]:
            raise QuantizationSelfCheckFailed(
                "4-bit weights are not what was packed after they were sharded and gathered: "
                + ("; ".join(problems[:3]) or "seen on another rank")
            )
        self.words = f"{count} packed weights of a layer gathered bit for bit, outputs equal"


def _packed(layer: nn.Module) -> Tensors:
    """Copies of the packed bytes of a layer that has its weights in full."""
    return {
        name: linear.weight.detach().reshape(-1).view(torch.uint8).clone() for name, linear in packed_linears(layer)
    }


def _outputs(layer: nn.Module) -> Tensors:
    """What each packed linear layer makes of fixed rows."""
    found = {}
    for name, linear in packed_linears(layer):
        generator = torch.Generator().manual_seed(linear.in_features)
        rows = torch.randn(ROWS, linear.in_features, generator=generator)
        with torch.no_grad():
            found[name] = linear(rows.to(linear.weight.device, linear.compute_dtype)).float()
    return found


def _different_bytes(before: Tensors, after: Tensors) -> list[str]:
    problems = []
    for name, value in before.items():
        if value.shape != after[name].shape:
            problems.append(f"{name} has {after[name].numel()} bytes instead of {value.numel()}")
        elif different := int((value != after[name]).sum()):
            problems.append(f"{name} differs in {different} of {value.numel()} bytes")
    return problems


def _different_outputs(before: Tensors, after: Tensors) -> list[str]:
    return [
        f"{name} has the same bytes but another output"
        for name, value in before.items()
        if not torch.allclose(value, after[name], rtol=TOLERANCE, atol=TOLERANCE)
    ]
