"""The metrics that speak of jobs: counted when a status was written, or summed up over all jobs at each scrape.

What is summed up comes from the jobs' own status, so a new operator shows the same figures. `reconcile` tells what
happened, `engine` gives the jobs.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from peft_fsdp_api.reasons import REASONS, Budget, Reason
from peft_fsdp_api.status import ConditionType, JobStatus, Phase

from .job_counts import JobCounts
from .jobs import JobRecord
from .times import read_time

# A container's end is written down in whole seconds, so finer buckets would show nothing.
DETECTION: Final = (1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)
RESTART: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
CREATED, RUNNING = "created", "running"


class JobMetrics:
    """Counters, histograms and gauges of all jobs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.restarts = Counter(
            "peft_fsdp_job_restarts", "New attempts, by why the last one ended.", ["reason"], registry=registry
        )
        self.failures = Counter("peft_fsdp_job_failures", "Jobs that failed, by why.", ["reason"], registry=registry)
        self.stalls = Counter("peft_fsdp_job_stalls", "Gangs found in which no rank moved.", registry=registry)
        self.detection = Histogram(
            "peft_fsdp_job_detection_seconds",
            "From the end of the first failing container (whole seconds) until it stands in the job's status.",
            buckets=DETECTION,
            registry=registry,
        )
        self.restart = Histogram(
            "peft_fsdp_job_restart_seconds",
            "From a failure in the job's status until all pods of the next attempt are created, and until all run. "
            "Includes the back-off.",
            ["until"],
            buckets=RESTART,
            registry=registry,
        )
        self._start_at_zero()
        self.gauges = JobGauges()
        registry.register(self.gauges)

    def saw_status(self, record: JobRecord, reason: str, before: JobStatus, after: JobStatus, now: datetime) -> None:
        """A status was written."""
        if after.phase is not before.phase:
            self._saw_phase(record, reason, after, now)
        if reason == Reason.NO_PROGRESS and not _is_stalled(before):
            self.stalls.inc()

    def saw_gang(self, record: JobRecord, until: str, now: datetime) -> None:
        """All pods of an attempt are created, or running."""
        since = record.restart_since.pop(until, None)
        if since is not None:
            self.restart.labels(until).observe(max(0.0, (now - since).total_seconds()))

    def _saw_phase(self, record: JobRecord, reason: str, after: JobStatus, now: datetime) -> None:
        if after.phase is Phase.RUNNING:
            self.saw_gang(record, RUNNING, now)
        elif after.phase is Phase.RESTARTING:
            self.restarts.labels(reason).inc()
            self._saw_failure(after, now)
            # How long a cluster has no room for a gang says nothing of how fast one is replaced.
            timed = () if reason == Reason.GANG_INCOMPLETE else (CREATED, RUNNING)
            record.restart_since = dict.fromkeys(timed, now)
        elif after.phase is Phase.FAILED:
            self.failures.labels(reason).inc()
            self._saw_failure(after, now)
        if after.phase in (Phase.FAILED, Phase.SUSPENDING):
            record.restart_since = {}

    def _saw_failure(self, after: JobStatus, now: datetime) -> None:
        failure = after.last_failure
        if failure is not None and failure.exit_code is not None and failure.time is not None:
            self.detection.observe(max(0.0, (now - read_time(failure.time)).total_seconds()))

    def _start_at_zero(self) -> None:
        """A series that first appears with 1 has not risen for Prometheus: the first failure would raise no alert."""
        for reason, facts in REASONS.items():
            if facts.budget is not Budget.NONE:
                self.restarts.labels(reason)
            if reason is not Reason.SUCCEEDED:
                self.failures.labels(reason)
        for until in (CREATED, RUNNING):
            self.restart.labels(until)


class JobGauges(Collector):
    """Summed up from all jobs when Prometheus asks. `read` is set once there are jobs to read."""

    def __init__(self) -> None:
        self.read: Callable[[], JobCounts] = JobCounts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All gauges."""
        counts = self.read()
        yield _by("peft_fsdp_jobs", "Jobs by phase.", "phase", counts.phases)
        yield _by(
            "peft_fsdp_jobs_waiting",
            "Jobs that wait for the cluster, by its reason; the rarest reasons together are Other.",
            "reason",
            counts.waiting,
        )
        yield _by(
            "peft_fsdp_jobs_stalled",
            "Jobs that have not ended and need somebody to act (condition Stalled), by reason.",
            "reason",
            counts.stalled,
        )
        for name, text, value in (
            ("invalid", "Jobs that break the contract, written past the rules of the CRD.", counts.invalid),
            ("longest_start_seconds", "How long the slowest start of an attempt has been going on.", counts.start),
            ("gpus", "GPUs of attempts whose pods all run.", counts.gpus),
            ("gpu_seconds", "Seconds times GPUs of all attempts of the jobs there are.", counts.gpu_seconds),
        ):
            yield GaugeMetricFamily(f"peft_fsdp_jobs_{name}", text, value=value)


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _is_stalled(status: JobStatus) -> bool:
    """Whether it already says that no rank moves."""
    told = ((one.type, one.status, one.reason) for one in status.conditions)
    return (ConditionType.STALLED, "True", Reason.NO_PROGRESS) in told
