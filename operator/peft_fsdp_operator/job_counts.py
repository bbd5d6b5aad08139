"""All jobs at a glance, for the gauges: one walk over their raw objects per scrape. Pure; called by `engine`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from peft_fsdp_api.job import PeftFsdpJob
from peft_fsdp_api.status import ConditionType, Phase

from .jobs import JobRecord
from .times import read_time

STARTING: Final = (Phase.PENDING, Phase.STARTING)
ENDED: Final = frozenset(phase for phase in Phase if phase.is_terminal)
NEW: Final = "New"
"""A job without a status: no pass has looked at it."""
OTHER: Final = "Other"
REASONS_MAX: Final = 20
"""Admission webhooks may invent reasons; the number of series has to end somewhere."""


@dataclass
class JobCounts:
    """What the gauges show."""

    phases: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys((NEW, *Phase), 0)))
    waiting: Counter[str] = field(default_factory=Counter)
    stalled: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    start: float = 0.0
    gpus: int = 0
    gpu_seconds: float = 0.0

    def add(self, record: JobRecord, now: datetime) -> None:
        """One more job."""
        status: Mapping[str, Any] = record.raw.get("status") or {}
        phase = status.get("phase") or NEW
        self.phases[phase] += 1
        self.invalid += record.is_known_invalid
        self._add_gpus(record, status, now)
        if phase in ENDED:
            return
        if waiting := status.get("waiting"):
            self.waiting[waiting["reason"]] += 1
        if reason := _stalled_by(status):
            self.stalled[reason] += 1
        if since := _starting_since(phase, status):
            self.start = max(self.start, (now - read_time(since)).total_seconds())

    def _add_gpus(self, record: JobRecord, status: Mapping[str, Any], now: datetime) -> None:
        """The status of a running job holds its GPU time up to its last write: what went by since is added here."""
        since = status.get("runningSince")
        if since is None:
            self.gpu_seconds += status.get("gpuSeconds") or 0
            return
        gpus = _gpus_of(record)
        self.gpus += gpus
        running = max(0.0, (now - read_time(since)).total_seconds())
        self.gpu_seconds += gpus * ((status.get("activeSeconds") or 0) + running)


def count_jobs(records: Iterable[JobRecord], now: datetime) -> JobCounts:
    """The figures over all jobs."""
    counts = JobCounts()
    for record in records:
        counts.add(record, now)
    counts.waiting, counts.stalled = _bounded(counts.waiting), _bounded(counts.stalled)
    return counts


def _starting_since(phase: str, status: Mapping[str, Any]) -> str | None:
    """When the start that goes on began. It also goes on between gangs that were not complete."""
    starts = phase in STARTING and not status.get("runningSince")
    return status.get("waitingSince") or (status.get("attemptTime") if starts else None)


def _stalled_by(status: Mapping[str, Any]) -> str | None:
    for one in status.get("conditions") or ():
        if (one["type"], one["status"]) == (ConditionType.STALLED, "True"):
            return str(one["reason"])
    return None


def _gpus_of(record: JobRecord) -> int:
    job = record.parsed
    return job.spec.workers.nodes * job.spec.workers.gpus_per_node if isinstance(job, PeftFsdpJob) else 0


def _bounded(reasons: Counter[str]) -> Counter[str]:
    """The most frequent reasons, the rest as one."""
    kept = Counter(dict(reasons.most_common(REASONS_MAX)))
    if rest := reasons.total() - kept.total():
        kept[OTHER] += rest
    return kept
