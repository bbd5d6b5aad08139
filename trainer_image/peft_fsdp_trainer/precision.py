"""Number types: in what the base is stored, in what is computed, and who may cast. Used by `train`, `sharding`, `step`.

Adapters and their optimizer state are float32. FSDP casts them to the compute type as it gathers them, unless 4-bit
weights are packed into a float type that is not the compute type: those bits would not survive the cast, so FSDP
casts nothing then and autocast does it instead.
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
    fsdp_casts: bool
    """Whether FSDP casts the adapters to `compute`; autocast does it otherwise."""

    @property
    def autocasts(self) -> bool:
        """Whether the forward pass runs under autocast."""
        return not self.fsdp_casts and self.compute != torch.float32

    @property
    def scales_loss(self) -> bool:
        """Whether gradients need loss scaling: float16 underflows without."""
        return self.compute == torch.float16


def choose_precision(config: TrainerConfig) -> Precision:
    """The types that `training.precision` and `quantization.storageDtype` ask for."""
    compute = TORCH_TYPES[config.training.precision]
    storage = TORCH_TYPES[config.quantization.storage_dtype] if config.quantization else compute
    return Precision(compute=compute, fsdp_casts=storage == compute)
