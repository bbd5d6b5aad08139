"""What is known about a run: what was asked, what runs, and what came out. Filled by `train`, shown in log and card."""

from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import Final, Self

from .data import DataFacts
from .distributed import Ranks
from .mfu import flops_per_token, peak_flops
from .model import Skeleton
from .sharding import Sharding
from .trained import TrainedTensor

PACKAGES: Final = ("torch", "transformers", "peft", "bitsandbytes", "peft-fsdp-job")


@dataclass
class RunFacts:
    """Facts for the model card; the loop adds the results."""

    data: DataFacts
    attention: str
    """The implementation that runs."""
    sharding: str
    """In words: how many ranks shard and replicate."""
    world_size: int
    device: str
    self_check: str
    """What the comparison of packed weights found; empty for a 16-bit base."""
    trained_parameters: int
    all_parameters: int
    flops_per_token: float
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
        """The model FLOPs utilization at this pace; None on a device whose peak is not known."""
        peak = peak_flops(self.device)
        if peak is None or tokens_per_second is None:
            return None
        return round(tokens_per_second * self.flops_per_token / (peak * self.world_size), 4)

    @classmethod
    def of(
        cls,
        skeleton: Skeleton,
        trained: list[TrainedTensor],
        data: DataFacts,
        attention: str,
        sharding: Sharding,
        ranks: Ranks,
        self_check: str,
    ) -> Self:
        """The facts of a run that is about to train."""
        count = sum(tensor.shape.numel() for tensor in trained)
        return cls(
            data=data,
            attention=attention,
            sharding=sharding.words,
            world_size=ranks.world_size,
            device=ranks.device_name,
            self_check=self_check,
            trained_parameters=count,
            all_parameters=skeleton.parameter_count,
            flops_per_token=flops_per_token(skeleton, count),
        )

    @property
    def line(self) -> str:
        """For the log, before the first step."""
        checked = f"; self-check: {self.self_check}" if self.self_check else ""
        return (
            f"{self.trained_parameters:,} of {self.all_parameters:,} parameters trained; {self.world_size} ranks on "
            f"{self.device}; {self.sharding}; attention {self.attention}; {self._rows}{checked}"
        )

    @property
    def _rows(self) -> str:
        train = self.data.train
        return "rows are streamed" if train is None else f"{train.rows:,} rows of {train.documents:,} documents"
