"""What the operator sees of a job: small values in place of the API server's large objects.

Made by `observe`, judged by `decide`, kept by `reflector`. All are immutable and hold nothing that is not used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from peft_fsdp_api.job import PeftFsdpJob
from peft_fsdp_api.progress import Stage
from peft_fsdp_api.status import CheckpointStatus, JobStatus, ProgressStatus

from .times import read_time

LATE: Final = timedelta(seconds=5)
"""A pod's last moment lies after its time to stop, and the clocks of two machines differ: without this allowance each
pod of a gang that stops as it should was overdue for an instant, which cost the job two status writes."""
TAKEN_BY_TAINT: Final = "DeletionByTaintManager"
"""Reason of DisruptionTarget in a pod that a taint of its node took away."""
POD_ENDS: Final = ("Succeeded", "Failed")
"""Phases that a pod never leaves."""


@dataclass(frozen=True, slots=True)
class Words:
    """A reason and a sentence, as Kubernetes gives them."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Why nothing is to be expected of a node, as it continues the sentence "node N is ..."."""

    reason: str
    message: str
    since: str | None = None
    is_fenced: bool = False
    """Nothing can run there any more: the node is gone, or an administrator vouches that it is off."""


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    """The termination message: the launcher's Outcome, or the last lines of the log."""
    finished_at: str | None


@dataclass(frozen=True, slots=True)
class ObjectSeen:
    """What every object has in common; `namespace` is empty for those of the whole cluster.

    Two versions that are alike in all that is looked at are equal.
    """

    namespace: str
    name: str
    uid: str
    resource_version: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class NodeSeen(ObjectSeen):
    """One node: a thousand of them are kept, so nothing but whether it answers."""

    silence: Silence | None = None


@dataclass(frozen=True, slots=True)
class ChildSeen(ObjectSeen):
    """What every child of a job has in common."""

    owner_name: str
    owner_uid: str


@dataclass(frozen=True, slots=True)
class PodSeen(ChildSeen):
    """One pod of a job, of any attempt."""

    attempt: int
    worker: int
    created: str
    node: str | None = None
    ip: str | None = None
    phase: str = "Pending"
    failure: Words | None = None
    """`status.reason` and message: a kubelet that refused or evicted the pod says it here."""
    deleted_at: str | None = None
    """deletionTimestamp: the pod was told to stop, and should be gone by then."""
    grace_seconds: int = 0
    """How long before that it was told."""
    unscheduled: Words | None = None
    disruption: Words | None = None
    waiting: Words | None = None
    """Why a container does not start, where that is worth telling."""
    trainer_running: bool = False
    is_unready: bool = False
    """Runs as far as anybody knows, and the cluster marked it as not ready because its node does not answer."""
    unready_since: str | None = None
    trainer_end: ContainerEnd | None = None
    init_failure: ContainerEnd | None = None
    others_running: bool = False
    """Sidecars that still run."""

    @property
    def is_stopping(self) -> bool:
        """Whether somebody deleted it."""
        return self.deleted_at is not None

    def is_overdue(self, now: datetime) -> bool:
        """Whether it was told to stop, had its time for that, and is still there."""
        return self.deleted_at is not None and read_time(self.deleted_at) + LATE < now

    @property
    def is_forced(self) -> bool:
        """Whether it was deleted without waiting for its node."""
        return self.is_stopping and not self.grace_seconds

    @property
    def has_succeeded(self) -> bool:
        """Judged on the trainer container alone: sidecars neither fail nor hold up a worker."""
        return self.trainer_end is not None and self.trainer_end.exit_code == 0

    @property
    def has_started(self) -> bool:
        """Whether the trainer runs or ran to its good end."""
        return self.trainer_running or self.has_succeeded

    @property
    def has_ended(self) -> bool:
        """Whether its node still told of the trainer's end."""
        return self.trainer_end is not None or self.phase in POD_ENDS

    @property
    def holds_resources(self) -> bool:
        """Whether processes of it may still run."""
        if self.phase in POD_ENDS:
            return False
        return self.trainer_end is None or self.others_running


@dataclass(frozen=True, slots=True)
class SharedSeen(ChildSeen):
    """The Service or the ConfigMap of a job; `content` is the part that ours decides."""

    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimSeen:
    """A PersistentVolumeClaim that the job mounts; `access_modes` is None where there is no such claim."""

    name: str
    field: str
    """Field of the spec that names it."""
    access_modes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server did not let us create a child, or delete one; tried again at `retry_at`."""

    attempt: int
    worker: int | None
    """None where no pod was refused, only the Service or the ConfigMap."""
    reason: str
    message: str
    retry_at: datetime
    times: int = 1
    """How often in a row."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How quiet a gang is, on the operator's own clock."""

    moved_at: datetime
    """When any rank was last seen to move."""
    read_at: datetime
    """When a launcher answered last."""
    rank: int
    """The rank that has stood still for longest."""
    worker: int
    """The worker it belongs to."""
    stages: frozenset[Stage]
    """What the ranks are doing."""
    has_stepped: bool = True
    """Whether this attempt was seen to finish a training step."""
    silent: frozenset[int] = frozenset()
    """Workers whose launchers answered before, and do not now."""


@dataclass(frozen=True, slots=True)
class LauncherReport:
    """What the launchers of all workers told last."""

    attempt: int
    progress: ProgressStatus | None
    checkpoint: CheckpointStatus | None
    pulse: Pulse | None = None


@dataclass(frozen=True)
class Observed:
    """Everything one decision is made from."""

    job: PeftFsdpJob
    status: JobStatus
    """As written last: the operator's memory."""
    pods: tuple[PodSeen, ...] = ()
    is_live: bool = False
    """The pods were asked of the API server itself, not of a mirror."""
    departed: tuple[PodSeen, ...] = ()
    """Pods of the current attempt that ended with a failure and are gone, as they were last."""
    shared: tuple[SharedSeen, ...] = ()
    claims: tuple[ClaimSeen, ...] = ()
    silent_nodes: Mapping[str, Silence] = field(default_factory=dict)
    """Nodes of the pods that do not answer, and what the cluster says of them."""
    refusal: Refusal | None = None
    undeleted: Refusal | None = None
    """What the API server said instead of deleting a pod."""
    report: LauncherReport | None = None
    pod_words: Mapping[str, Words] = field(default_factory=dict)
    """What events say of pods that do not start, by the pod's uid."""
