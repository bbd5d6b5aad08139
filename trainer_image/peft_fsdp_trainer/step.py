"""One optimizer step and one evaluation: forward, backward, clip, update. Called by `loop`.

The loss of a step is the mean over all its loss tokens, of all ranks and accumulated batches together, so the same
global batch gives the same gradients however it is cut up.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .data import Batch
from .distributed import Ranks
from .errors import LossNotFinite
from .loss import learned_tokens
from .optim import LossScale, clip_gradients
from .precision import Precision
from .sharding import Sharding
from .trained import TrainedTensor


@dataclass(frozen=True)
class Stepper:
    """Model and optimizer, and how they are stepped."""

    model: nn.Module
    sharding: Sharding
    trained: list[TrainedTensor]
    optimizer: torch.optim.Optimizer
    precision: Precision
    ranks: Ranks
    max_grad_norm: float

    def train(
        self, batches: list[Batch], loss_tokens: float, scale: LossScale, step: int, between: Callable[[], None]
    ) -> tuple[torch.Tensor, float]:
        """One step on this rank's batches; `loss_tokens` counts those of all ranks. `between` is called between two
        batches; what it raises leaves adapter and optimizer as the step before left them.

        Returns this rank's summed loss, on the device, and the gradient norm before clipping.

        Raises:
            LossNotFinite: the gradients are not finite and no loss scale explains it.
        """
        self.model.train()
        factor = scale.scale if self.precision.scales_loss else 1.0
        # FSDP averages over the ranks; multiplied by their number that is the sum.
        weight = factor * self.ranks.world_size / max(loss_tokens, 1.0)
        total = torch.zeros((), device=self.ranks.device)
        for number, batch in enumerate(batches):
            if number:
                between()
            with self.sharding.accumulating(self.model, last=number == len(batches) - 1):
                loss = self._loss(batch)
                torch.autograd.backward(loss * weight)
            total += loss.detach()
        norm = self._update(scale, total, step)
        return total, norm

    def _update(self, scale: LossScale, loss: torch.Tensor, step: int) -> float:
        if self.precision.scales_loss:
            scale.unscale(self.trained)
        norm = clip_gradients(self.trained, self.max_grad_norm)
        finite = math.isfinite(norm)
        if finite:
            self.optimizer.step()
        elif not self.precision.scales_loss or scale.is_exhausted:
            raise LossNotFinite(
                f"the gradient norm of step {step} is {norm}, the loss on rank {self.ranks.rank} is {float(loss)}",
                step=step,
            )
        if self.precision.scales_loss:
            scale.update(finite)
        self.optimizer.zero_grad()
        return norm

    def evaluate(self, batches: Iterable[Batch]) -> Iterable[tuple[float, int]]:
        """Summed loss and number of loss tokens of this rank, batch by batch."""
        self.model.eval()
        with torch.no_grad():
            for batch in batches:
                yield float(self._loss(batch)), batch.loss_tokens

    def _loss(self, batch: Batch) -> torch.Tensor:
        device = self.ranks.device
        inputs: dict[str, Any] = {key: _on(device, value) for key, value in batch.inputs.items() if key != "labels"}
        labels = batch.inputs["labels"]
        assert isinstance(labels, torch.Tensor)
        positions, targets = learned_tokens(labels)
        loss: torch.Tensor = self.model(inputs, _on(device, positions), _on(device, targets))
        return loss


def _on(device: torch.device, value: Any) -> Any:
    if isinstance(value, torch.Tensor) and device.type != "cpu":
        return value.pin_memory().to(device, non_blocking=True)
    return value
