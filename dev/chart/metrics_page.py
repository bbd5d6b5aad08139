"""docs/metrics.md: every metric of the operator and of the launchers, out of their declarations."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from peft_fsdp_api.progress import Progress, RankProgress, Stage, TrainingProgress
from peft_fsdp_operator.cluster import Request
from peft_fsdp_operator.job_counts import JobCounts
from peft_fsdp_operator.metrics import Metrics
from peft_fsdp_trainer.launcher.metrics import ProgressCollector

_HEADER: Final = """\
<!-- Made by `make generate` from the declarations in operator/ and trainer_image/; edit those instead. -->

# Metrics

In the text format of Prometheus. A counter's name ends in `_total` on the page, a histogram's in `_bucket`, `_sum` and
`_count`. What to do when one of them looks wrong: [operations.md](operations.md).
"""
_OPERATOR: Final = """
## Operator

Port 8080 (`metrics.port` of the chart). Counters begin at 0 with every operator process; the gauges over jobs are
summed up from the jobs' own status, so they survive a restart. A replica that stands by shows zeros. No label holds the
name of a job. `process_*` are those that Prometheus knows of any process.
"""
_LAUNCHER: Final = """
## Pods of jobs

Port 8471 of each pod, from outside the training processes. What is not known yet is left out; the figures of the
training as a whole stand on worker 0 alone.
"""


def metrics_page() -> str:
    operator = [family for family in operator_families() if not family.name.startswith("process_")]
    return "".join([_HEADER, _OPERATOR, *_table(operator), _LAUNCHER, *_table(launcher_families())])


def operator_families() -> list[Metric]:
    """What an operator can show, with a sample wherever the labels would not be known without one."""
    metrics = Metrics()
    metrics.saw_request(Request("get", "pods", 200, 0.0))
    for by_kind in (metrics.watch_age, metrics.mirrored):
        by_kind.labels("pods")
    waits, stalls = Counter({"Unschedulable": 1}), Counter({"NoProgress": 1})
    metrics.jobs.gauges.read = lambda: JobCounts(waiting=waits, stalled=stalls)
    return list(metrics.registry.collect())


def launcher_families() -> list[Metric]:
    """What a launcher can show, from a report in which everything is known."""
    everything = dict.fromkeys(TrainingProgress.model_fields, 1)
    rank = RankProgress(
        rank=0, stage=Stage.TRAIN, heartbeat="2026-01-01T00:00:00Z", memory_bytes=1, memory_peak_bytes=1
    )
    progress = Progress(attempt=1, node_rank=0, ranks=[rank], training=TrainingProgress.model_validate(everything))
    registry = CollectorRegistry()
    registry.register(ProgressCollector(progress, 0))
    return list(registry.collect())


def _table(families: Iterable[Metric]) -> Iterator[str]:
    yield "\n| name | type | labels | what it says |\n| --- | --- | --- | --- |\n"
    for family in sorted(families, key=lambda one: one.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"| `{name}` | {family.type} | {_labels(family)} | {family.documentation} |\n"


def _labels(family: Metric) -> str:
    names = sorted({name for sample in family.samples for name in sample.labels} - {"le"})
    return ", ".join(f"`{name}`" for name in names)
