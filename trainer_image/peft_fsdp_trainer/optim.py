"""Optimizer, learning rate and loss scale. Called by `train` and `loop`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from peft_fsdp_api.spec import TrainingSpec

from .trained import TrainedTensor

FIRST_SCALE: Final = 2.0**16
GROWTH_INTERVAL: Final = 2000


def make_optimizer(trained: Iterable[TrainedTensor], spec: TrainingSpec) -> torch.optim.AdamW:
    """AdamW; only matrices decay, not norms, biases and DoRA's magnitudes."""
    tensors = list(trained)
    groups = [
        {"params": [t.parameter for t in tensors if len(t.shape) >= 2], "weight_decay": spec.weight_decay},
        {"params": [t.parameter for t in tensors if len(t.shape) < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=spec.learning_rate)


def make_schedule(optimizer: torch.optim.Optimizer, spec: TrainingSpec, total_steps: int, done: int) -> LambdaLR:
    """The course of the learning rate, after `done` of `total_steps` steps."""
    schedule: LambdaLR = get_scheduler(
        spec.scheduler,
        optimizer,
        num_warmup_steps=round(spec.warmup_ratio * total_steps),
        num_training_steps=total_steps,
    )
    # The rate is a function of the step alone, so a resumed run needs no more than its number.
    schedule.last_epoch = done
    for group, base, factor in zip(optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
        group["lr"] = base * factor(done)
    return schedule


def clip_gradients(trained: Iterable[TrainedTensor], max_norm: float) -> float:
    """Scale the gradients down to `max_norm` (0 leaves them) and return the norm they had, over all shards."""
    graded = [(tensor, tensor.parameter.grad) for tensor in trained if tensor.parameter.grad is not None]
    norm = nn.utils.get_total_norm([tensor.sharded(gradient) for tensor, gradient in graded])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    if max_norm > 0:
        nn.utils.clip_grads_with_norm_([tensor.parameter for tensor, _ in graded], max_norm, norm)
    return float(norm)


@dataclass
class LossScale:
    """Dynamic loss scale for float16. The gradient norm decides, which is the same on every rank."""

    scale: float = FIRST_SCALE
    good_steps: int = 0

    def unscale(self, trained: Iterable[TrainedTensor]) -> None:
        """Take the factor out of the gradients again."""
        for tensor in trained:
            if tensor.parameter.grad is not None:
                tensor.parameter.grad.div_(self.scale)

    def update(self, finite: bool) -> None:
        """Halve after an overflow, double after many steps without one."""
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            self.scale /= 2
        elif self.good_steps % GROWTH_INTERVAL == 0:
            self.scale *= 2

    @property
    def is_exhausted(self) -> bool:
        """Whether no smaller scale is left to try: the values themselves are not finite."""
        return self.scale < 1
