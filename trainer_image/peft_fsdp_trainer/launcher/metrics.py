"""`/metrics`: the progress of this pod for Prometheus, computed anew for each scrape."""

from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from peft_fsdp_api.progress import Progress, RankProgress

PREFIX: Final = "peft_fsdp_trainer"

RANK_GAUGES: Final = (
    ("stage_done", "Units of the rank's stage that are done: steps, rows, layers or bytes.", "done"),
    ("memory_bytes", "Memory in use: of the device, or resident on a CPU.", "memory_bytes"),
    ("memory_peak_bytes", "Highest memory so far.", "memory_peak_bytes"),
)


class ProgressCollector(Collector):
    """Gauges of one progress report."""

    def __init__(self, progress: Progress, now: float) -> None:
        self._progress = progress
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """All gauges; what is not known yet is left out."""
        yield GaugeMetricFamily(f"{PREFIX}_attempt", "Attempt the pod belongs to.", value=self._progress.attempt)
        yield from self._training()
        ranks = self._progress.ranks
        for name, text, attribute in RANK_GAUGES:
            yield _by_rank(name, text, ranks, attrgetter(attribute))
        yield _by_rank("heartbeat_age_seconds", "Time since the rank last got something done.", ranks, self._age)
        stages = GaugeMetricFamily(f"{PREFIX}_stage", "1 for the stage the rank is in.", labels=["rank", "stage"])
        for rank in ranks:
            stages.add_metric([str(rank.rank), rank.stage], 1)
        yield stages

    def _training(self) -> Iterable[Metric]:
        training = self._progress.training
        if training is None:
            return
        for name, field in type(training).model_fields.items():
            value = getattr(training, name)
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", field.description or name, value=value)

    def _age(self, rank: RankProgress) -> float:
        return max(0.0, self._now - datetime.fromisoformat(rank.heartbeat).timestamp())


def _by_rank(
    name: str, text: str, ranks: list[RankProgress], value: Callable[[RankProgress], float | None]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["rank"])
    for rank in ranks:
        figure = value(rank)
        if figure is not None:
            family.add_metric([str(rank.rank)], figure)
    return family


def render_metrics(progress: Progress, now: float) -> bytes:
    """The text format of Prometheus; `now` is Unix time."""
    registry = CollectorRegistry()
    registry.register(ProgressCollector(progress, now))
    return generate_latest(registry)
