"""What changes while training, and therefore what a checkpoint holds. Made by `train`, moved by `loop`."""

from dataclasses import dataclass
from typing import Final

import torch

from .data import Cursor
from .model import Skeleton
from .optim import LossScale
from .schedule import Position
from .trained import TrainedTensor

MOMENTS: Final = ("exp_avg", "exp_avg_sq")


@dataclass
class Trainee:
    """What a checkpoint holds: everything that changes while training."""

    skeleton: Skeleton
    trained: list[TrainedTensor]
    optimizer: torch.optim.Optimizer
    position: Position
    loss_scale: LossScale
    cursor: Cursor | None = None
    """This rank's place in a streamed dataset; None where the rows are prepared."""

    @property
    def optimizer_steps(self) -> int:
        """Steps the optimizer took; fewer than the position's where float16 overflowed."""
        states = self.optimizer.state.values()
        return int(next((state["step"].item() for state in states), 0))

    def make_moments(self, steps: int) -> None:
        """The optimizer's state as after `steps` steps, with zeros to load into."""
        for tensor in self.trained:
            self.optimizer.state[tensor.parameter] = {
                "step": torch.tensor(float(steps)),
                **{moment: torch.zeros_like(tensor.parameter, requires_grad=False) for moment in MOMENTS},
            }

    def tensors(self) -> dict[str, torch.Tensor]:
        """Adapter and moments under flat names, sharded as they are. The moments are zeros before the first update,
        which may be some steps away: float16 begins with a loss scale that overflows."""
        if not self.optimizer.state:
            self.make_moments(0)
        found: dict[str, torch.Tensor] = {}
        for tensor in self.trained:
            found[f"adapter/{tensor.name}"] = tensor.sharded(tensor.parameter)
            for moment in MOMENTS:
                found[f"{moment}/{tensor.name}"] = tensor.sharded(self.optimizer.state[tensor.parameter][moment])
        return found
