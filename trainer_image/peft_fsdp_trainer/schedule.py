"""How many steps a run has, where it stands, and when evaluation and checkpoints are due. Used by `loop`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from peft_fsdp_api.spec import Every, TrainingSpec

SECONDS: Final = 60.0


@dataclass
class Position:
    """Where a run stands between two steps; with the seed it determines every row that follows."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Epochs finished."""
    row: int = 0
    """Rows of the current epoch that all ranks together have seen."""


@dataclass(frozen=True)
class StepPlan:
    """How rows become steps. A step does not reach over the end of an epoch; the last one of it may be smaller."""

    rows: int
    rows_per_batch: int
    """Rows of all ranks together in one forward pass."""
    accumulation: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in a whole epoch."""
        return self._steps(self.rows)

    def _steps(self, rows: int) -> int:
        """Optimizer steps over the last `rows` rows of an epoch."""
        return math.ceil(math.ceil(rows / self.rows_per_batch) / self.accumulation)

    def total_steps(self, spec: TrainingSpec, position: Position) -> int:
        """Steps of the run: those done, which another number of ranks may have done, and those that are left."""
        if spec.max_steps is not None:
            return spec.max_steps
        epochs = spec.epochs if spec.epochs is not None else 1.0
        # Counted, not subtracted: steps of another size than these have brought the epoch to where it is.
        in_epoch = self._steps(self.rows - position.row)
        left = (epochs - position.epoch - 1) * self.steps_per_epoch + in_epoch
        # 0.1 epochs of 10 steps is one step, not the two that rounding up 1.0000000000000002 would give.
        return position.step + max(0, math.ceil(round(left, 6)))

    def advance(self, position: Position, batches: int) -> bool:
        """Move the position over one step of `batches` forward passes; true when that ended an epoch."""
        position.step += 1
        position.row += batches * self.rows_per_batch
        if position.row < self.rows:
            return False
        position.epoch, position.row = position.epoch + 1, 0
        return True


class Interval:
    """When something that happens every so many epochs, steps or minutes is due."""

    def __init__(self, every: Every, clock: Callable[[], float]) -> None:
        self._every = every
        self._clock = clock
        self._last = clock()

    @property
    def minutes_are_over(self) -> bool:
        """Whether a wall-clock interval has passed on this rank; only rank 0's answer may count."""
        return self._every.minutes is not None and self._clock() - self._last >= self._every.minutes * SECONDS

    def is_due(self, position: Position, epoch_ended: bool, minutes_are_over: bool) -> bool:
        """Whether it is due after the step that led to `position`. Being due starts the wall-clock interval anew."""
        steps, epochs = self._every.steps, self._every.epochs
        due = minutes_are_over
        if steps is not None:
            due = position.step % steps == 0
        elif epochs is not None:
            due = epoch_ended and position.epoch % epochs == 0
        if due:
            self._last = self._clock()
        return due
