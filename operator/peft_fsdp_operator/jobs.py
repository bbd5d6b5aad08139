"""The jobs themselves, as kopf's watch and our own writes show them. Filled by `handlers`, used by `reconcile`.

A job is parsed once per generation, its status once per version. Of two versions the newer one is kept, wherever it
came from: the answer to our own status write usually arrives before the watch tells of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from peft_fsdp_api.job import InvalidJob, PeftFsdpJob, parse_job
from peft_fsdp_api.status import JobStatus, Phase

from .observe import see_status
from .pulse import GangMemory
from .seen import LauncherReport, Refusal, Words

ON_THE_WAY: Final = ("New", Phase.PENDING, Phase.STARTING)


class JobKey(NamedTuple):
    """Namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass
class JobRecord:
    """One job: its newest raw object, and what this process remembers of it for speed alone."""

    raw: Mapping[str, Any]
    refusal: Refusal | None = None
    """What the API server said instead of making a child."""
    undeleted: Refusal | None = None
    """What it said instead of deleting a pod."""
    report: LauncherReport | None = None
    gang: GangMemory | None = None
    """What the launchers of the current attempt said."""
    pod_words: Mapping[str, Words] = field(default_factory=dict)
    """What events say of pods that do not start, by the pod's uid."""
    written_at: float = float("-inf")
    """When the status was last written, on the event loop's clock."""
    news_since: float | None = None
    """Since when there is something that it does not say yet."""
    told: int = 0
    """Generation for which an event stands in for a status that cannot be written."""
    restart_since: dict[str, datetime] = field(default_factory=dict)
    """What the attempt after a failure has yet to reach, and since when it is awaited: for the metrics."""
    _parsed: tuple[int, PeftFsdpJob | InvalidJob] | None = field(default=None, repr=False)
    _status: tuple[Mapping[str, Any], JobStatus] | None = field(default=None, repr=False)

    @property
    def uid(self) -> str:
        """Identity of the object; a job deleted and made again is another one."""
        return str(self.raw["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Counts changes of the spec."""
        return int(self.raw["metadata"]["generation"])

    @property
    def phase(self) -> str:
        """As written last, or New."""
        return _phase(self.raw)

    @property
    def parsed(self) -> PeftFsdpJob | InvalidJob:
        """The job, or what is wrong with it."""
        if self._parsed is None or self._parsed[0] != self.generation:
            try:
                self._parsed = self.generation, parse_job(self.raw)
            except InvalidJob as error:
                self._parsed = self.generation, error
        return self._parsed[1]

    @property
    def status(self) -> JobStatus:
        """As written last. Raises ValueError as `see_status` does."""
        if self._status is None or self._status[0] is not self.raw:
            self._status = self.raw, see_status(self.raw)
        return self._status[1]

    @property
    def is_known_invalid(self) -> bool:
        """Whether the job was parsed and breaks the contract."""
        return self._parsed is not None and isinstance(self._parsed[1], InvalidJob)


class Jobs:
    """All jobs that this process is responsible for."""

    def __init__(self, dropped: Callable[[JobRecord], None] = lambda _: None) -> None:
        """`dropped` is told of each job that is gone, or that another one took the name of."""
        self._dropped = dropped
        self._records: dict[JobKey, JobRecord] = {}
        self._phases: Counter[str] = Counter()  # kept up to date, because every pass asks

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: JobKey) -> JobRecord | None:
        """The record of a job, or None once it is gone."""
        return self._records.get(key)

    def knows(self, raw: Mapping[str, Any]) -> bool:
        """Whether this version of a job, or a newer one of the same job, has been taken in."""
        metadata = raw["metadata"]
        known = self._records.get(JobKey(metadata["namespace"], metadata["name"]))
        if known is None or known.uid != metadata["uid"]:
            return False
        return int(metadata["resourceVersion"]) <= int(known.raw["metadata"]["resourceVersion"])

    def keep(self, raw: Mapping[str, Any]) -> JobKey:
        """Take in a version of a job, unless a newer one is known, of this job or of one made later with its name."""
        metadata = raw["metadata"]
        key = JobKey(metadata["namespace"], metadata["name"])
        known = self._records.get(key)
        if known is not None and int(metadata["resourceVersion"]) <= int(known.raw["metadata"]["resourceVersion"]):
            return key
        if known is None or known.uid != metadata["uid"]:
            self.drop(key)
            self._records[key] = JobRecord(raw)
            self._phases[_phase(raw)] += 1
        else:
            self._phases[_phase(known.raw)] -= 1
            known.raw = raw
            self._phases[_phase(raw)] += 1
        return key

    def drop(self, key: JobKey) -> None:
        """The job is gone."""
        record = self._records.pop(key, None)
        if record is not None:
            self._phases[_phase(record.raw)] -= 1
            self._dropped(record)

    def items(self) -> Iterator[tuple[JobKey, JobRecord]]:
        """All jobs, safe against changes while iterating."""
        return iter(list(self._records.items()))

    def phases(self) -> Counter[str]:
        """How many jobs are in each phase."""
        return +self._phases

    def alike(self, phase: str | None) -> int:
        """How many jobs are about as far as one in this phase: those on their way to Running count as one."""
        group = ON_THE_WAY if phase in ON_THE_WAY else (phase,)
        return sum(self._phases[one] for one in group if one)


def _phase(raw: Mapping[str, Any]) -> str:
    return (raw.get("status") or {}).get("phase") or "New"
