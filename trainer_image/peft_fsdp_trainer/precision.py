"""Number types: in what is computed, and in what the adapters are kept. Used by `train`, `sharding`, `step`.

Adapters and their optimizer state are float32. FSDP casts them to the compute type as it gathers them.
"""

from dataclasses import dataclass
from typing import Final

import torch

from peft_fsdp_api.trainer_config import TrainerConfig

ADAPTER_TYPE: Final = torch.float32
TORCH_TYPES: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class Precision:
    """The number types of a run."""

    compute: torch.dtype
    """Type of the 16-bit (or float32) base weights and of the forward and backward pass."""

    @property
    def scales_loss(self) -> bool:
        """Whether gradients need loss scaling: float16 underflows without."""
        return self.compute == torch.float16


def choose_precision(config: TrainerConfig) -> Precision:
    """The type that `training.precision` asks for."""
    return Precision(TORCH_TYPES[config.training.precision])
