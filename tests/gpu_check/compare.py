"""This trainer against the baseline: ratios, bars and verdicts. Pure; called by `__main__`."""

from dataclasses import dataclass
from typing import Final

from tests.gpu_check.result import RunResult


@dataclass(frozen=True)
class Bars:
    """Tokens per second at least, and peak memory at most, as multiples of the baseline's."""

    speed: float
    memory: float


BARS: Final = {"LoRA": Bars(1.5, 0.7), "QLoRA": Bars(1.3, 0.8)}
LOSS_BAR: Final = 0.01
"""Relative distance of the two curves: order of rows, dropout and initial adapters differ, the level must not."""


@dataclass(frozen=True)
class Comparison:
    """Two runs of one kind. A ratio is None where one of the runs has no figures."""

    kind: str
    ours: RunResult
    baseline: RunResult
    speed: float | None
    memory: float | None
    loss_distance: float | None

    @property
    def verdicts(self) -> dict[str, bool | None]:
        """Whether each bar is reached; None where it was not measured."""
        bars = BARS[self.kind]
        return {
            "tokens per second": None if self.speed is None else self.speed >= bars.speed,
            "peak memory": None if self.memory is None else self.memory <= bars.memory,
            "loss curve": None if self.loss_distance is None else self.loss_distance <= LOSS_BAR,
        }

    @property
    def passed(self) -> bool:
        """All bars are measured and reached."""
        return all(self.verdicts.values())


def compare(kind: str, ours: RunResult, baseline: RunResult) -> Comparison:
    """Ratios are ours over the baseline's."""
    if ours.tokens_per_second is None or baseline.tokens_per_second is None:
        return Comparison(kind, ours, baseline, None, None, None)
    return Comparison(
        kind,
        ours,
        baseline,
        speed=ours.tokens_per_second / baseline.tokens_per_second,
        memory=ours.peak / baseline.peak,
        loss_distance=loss_distance(ours.losses, baseline.losses),
    )


def loss_distance(ours: tuple[float, ...], baseline: tuple[float, ...]) -> float:
    """Mean relative distance of the two curves, after a smoothing over three steps that takes out the rows' order."""
    pairs = list(zip(_smooth(ours), _smooth(baseline), strict=True))
    return sum(abs(a - b) / b for a, b in pairs) / len(pairs)


def _smooth(values: tuple[float, ...]) -> list[float]:
    width = min(3, len(values))
    return [sum(values[i : i + width]) / width for i in range(len(values) - width + 1)]
