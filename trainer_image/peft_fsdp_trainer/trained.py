"""The tensors that are trained, as the optimizer has them and as a checkpoint sees them.

Made by `fsdp1` and `fsdp2`, so that nothing else has to know which of them spread the model. Used by `optim`, `step`,
`trainee`, `adapter` and `run_facts`.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class TrainedTensor:
    """One tensor of the adapter. This form is for FSDP2, whose parameters are parts of a whole by themselves."""

    name: str
    """As PEFT names it, whatever wraps the module."""
    parameter: nn.Parameter
    """What the optimizer steps: this rank's part, or the whole where nothing is sharded."""
    shape: torch.Size
    """Of the whole tensor."""

    def sharded(self, part: torch.Tensor) -> torch.Tensor:
        """The parameter, its gradient or a moment as a part of the whole; shares its memory."""
        return part.detach()

    def full(self) -> torch.Tensor:
        """The whole tensor. Every rank must call it."""
        value = self.sharded(self.parameter)
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        return whole.view(self.shape)
