"""What is known about a run: what was asked, what runs, and what came out. Filled by `train`, shown in log and card."""

from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import Final, Self

import torch

from peft_fsdp_api.progress import Execution
from peft_fsdp_api.trainer_config import TrainerConfig

from .attention import Attention
from .data import DataFacts
from .distributed import Ranks
from .mfu import peak_flops
from .model import Skeleton
from .precision import ADAPTER_TYPE, Precision
from .sharding import Sharding
from .trained import TrainedTensor

PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes", "peft-fsdp-job")


@dataclass
class RunFacts:
    """Facts for the model card; the loop adds the results."""

    data: DataFacts
    execution: Execution
    """What was asked and what runs."""
    world_size: int
    device: str
    self_check: str
    """What the comparison of packed weights found; empty for a 16-bit base."""
    trained_parameters: int
    all_parameters: int
    flops_per_token: float | None
    """None where it is not known which weights a token meets."""
    versions: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in PACKAGES})
    steps: int = 0
    epochs: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    """Time in this attempt's training loop."""
    documents: int = 0
    """Documents of a streamed dataset that this attempt trained on; with the two below all that is known of it."""
    truncated: int = 0
    dropped: int = 0
    loss: float | None = None
    eval_loss: float | None = None

    @property
    def duration(self) -> timedelta:
        """Time in this attempt's training loop."""
        return timedelta(seconds=self.seconds)

    def utilization(self, tokens_per_second: float | None) -> float | None:
        """The model FLOPs utilization at this pace; None where the device's peak or the model's cost is not known."""
        peak = peak_flops(self.device)
        if peak is None or tokens_per_second is None or self.flops_per_token is None:
            return None
        return round(tokens_per_second * self.flops_per_token / (peak * self.world_size), 4)

    @classmethod
    def of(
        cls,
        skeleton: Skeleton,
        trained: list[TrainedTensor],
        data: DataFacts,
        execution: Execution,
        ranks: Ranks,
        self_check: str,
        flops_per_token: float | None,
    ) -> Self:
        """The facts of a run that is about to train."""
        count = sum(tensor.shape.numel() for tensor in trained)
        return cls(
            data=data,
            execution=execution,
            world_size=ranks.world_size,
            device=ranks.device_name,
            self_check=self_check,
            trained_parameters=count,
            all_parameters=skeleton.parameter_count,
            flops_per_token=flops_per_token,
        )

    @property
    def line(self) -> str:
        """For the log, before the first step."""
        checked = f"; self-check: {self.self_check}" if self.self_check else ""
        runs = "; ".join(f"{name}: {words}" for name, words in self.execution.to_wire().items())
        return (
            f"{self.trained_parameters:,} of {self.all_parameters:,} parameters trained; {self.world_size} ranks on "
            f"{self.device}; {runs}; {self._rows}{checked}"
        )

    @property
    def _rows(self) -> str:
        train = self.data.train
        return "rows are streamed" if train is None else f"{train.rows:,} rows of {train.documents:,} documents"


def describe_execution(
    config: TrainerConfig, attention: Attention, precision: Precision, sharding: Sharding
) -> Execution:
    """What was asked and what runs; the attention kernel is the one that was chosen."""
    fsdp, training = config.fsdp, config.training
    base = _name(precision.compute)
    if config.quantization is not None:
        numbers = f"{config.quantization.storage_dtype} numbers"
        base = f"{config.quantization.scheme} sharded as {numbers if fsdp.version == 1 else 'bytes'}"
    on_host = [
        words for words, moved in (("parameters", fsdp.cpu_offload), ("activations", fsdp.activation_offload)) if moved
    ]
    return Execution(
        attention=f"{config.model.attention} asked, {attention.words}",
        kernels=("compile asked, each decoder layer's forward is compiled" if training.compile else "eager layers")
        + (", recomputed in the backward pass" if fsdp.activation_checkpointing else "")
        + "; loss in chunks",
        precision=f"{training.precision} asked; base weights {base}, computed in "
        f"{_name(precision.compute)}, adapters {_name(ADAPTER_TYPE)} cast by FSDP",
        sharding=f"{fsdp.sharding} asked, {sharding.words} runs"
        + (f"; {' and '.join(on_host)} on the host" if on_host else ""),
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
