"""The status of a job as the operator writes it: computed whole, in one server-side apply.

`attempt`, `restarts`, `budgets`, `phase`, `attemptTime`, `waitingSince`, `startTime`, `activeSeconds`, `runningSince`,
`nextAttemptTime`, `lastFailure`, `failures` and `avoidedNodes` are also the operator's only memory; everything else is
recomputed from what the cluster shows.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .schema import ApiModel
from .text import Described, Keyed

Time = Annotated[str, Field(max_length=64)]
"""RFC 3339 in UTC with whole seconds, such as 2026-11-22T18:00:00Z."""


NodeName = Annotated[str, Field(max_length=253), Described("Name of a node.")]


class Phase(StrEnum):
    """A summary for printer columns. Terminal phases are a latch: they are never left again."""

    PENDING = "Pending"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended for good."""
        return self in (Phase.SUCCEEDED, Phase.FAILED)


class ConditionType(StrEnum):
    """Conditions in the order in which they are written. kstatus and Argo CD read the first three."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"


class Condition(ApiModel):
    """One observation, in the shape of metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    """Ready, Reconciling, Stalled, Complete, Failed or Suspended."""
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$")]
    """True, False or Unknown."""
    reason: Annotated[str, Field(pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024)]
    """CamelCase word for programs."""
    message: Annotated[str, Field(max_length=32768)]
    """Sentence for people."""
    last_transition_time: Time
    """When status last changed."""
    observed_generation: int
    """Generation of the spec that was looked at."""


class Restarts(ApiModel):
    """New attempts so far, by budget."""

    application: int = 0
    """After errors of the training program."""
    infrastructure: int = 0
    """After lost nodes, deleted pods or a broken network."""
    preemption: int = 0
    """After the cluster took pods away."""


class BudgetUse(ApiModel):
    """How much of one budget is used."""

    since: Time
    """When the first new attempt that counts was decided on."""
    used: int
    """New attempts since then."""


class BudgetUses(ApiModel):
    """How much of the restart budgets is used, within their windows."""

    application: BudgetUse | None = None
    """After errors of the training program."""
    infrastructure: BudgetUse | None = None
    """After lost nodes, deleted pods or a broken network."""
    preemption: BudgetUse | None = None
    """After the cluster took pods away."""


class WorkerCounts(ApiModel):
    """Pods of the current attempt."""

    desired: int = 0
    """Pods the spec asks for."""
    pending: int = 0
    """Not running yet, or not there yet."""
    running: int = 0
    """With a running trainer container."""
    succeeded: int = 0
    """Ended with success."""
    failed: int = 0
    """Ended with a failure."""


class Waiting(ApiModel):
    """Why an attempt does not start, in the words of the cluster."""

    worker: int | None = None
    """Index of the first worker that waits; absent when no pod could be created."""
    reason: str
    """Unschedulable, ImagePullBackOff, FailedMount, Forbidden and the like."""
    message: str
    """The scheduler's, kubelet's or API server's own sentence."""


class ProgressStatus(ApiModel):
    """How far the run is, as its launchers report."""

    stage: str
    """download, load, tokenize, train, evaluate, save, export or push."""
    step: int = 0
    """Optimizer steps done."""
    total_steps: int | None = None
    """Optimizer steps of the whole run."""
    epoch: float | None = None
    """Passes over the training data so far."""
    loss: float | None = None
    """Training loss of the last logged step."""
    eval_loss: float | None = None
    """Loss of the last evaluation."""
    learning_rate: float | None = None
    """Current learning rate."""
    tokens_per_second: float | None = None
    """Tokens of all ranks per second."""
    remaining: str | None = None
    """Estimated time to the end of the training, such as 1h12m."""
    slowest_rank: int | None = None
    """Rank with the oldest heartbeat."""
    heartbeat: Time | None = None
    """When the slowest rank last moved."""
    summary: str | None = None
    """Short form for the printer column, such as 1240/5000."""


class CheckpointStatus(ApiModel):
    """Newest committed checkpoint."""

    step: int
    """Optimizer step it was saved after."""
    path: str
    """Folder inside the output claim."""
    time: Time
    """When it was committed."""


class AdapterStatus(ApiModel):
    """The finished adapter."""

    path: str
    """Folder inside the output claim."""
    size_bytes: int
    """Size of the weights file."""
    sha256: str
    """Checksum of the weights file."""


class Failure(ApiModel):
    """Cause of the end of an attempt: the earliest failure among all ranks."""

    attempt: int
    """Attempt that ended."""
    rank: int | None = None
    """Global rank, where one is known."""
    pod: str | None = None
    """Pod that failed first."""
    node: str | None = None
    """Node it ran on."""
    reason: str
    """Stable CamelCase word, such as OutOfMemory or DatasetInvalid."""
    exit_code: int | None = None
    """Exit code of the trainer container."""
    step: int | None = None
    """Optimizer step it had reached."""
    message: str
    """What happened, with the last lines of the traceback where there is one."""
    hint: str | None = None
    """What to change."""
    time: Time | None = None
    """When it happened."""


class PastFailure(ApiModel):
    """The end of an earlier attempt, in short."""

    attempt: int
    """Attempt that ended."""
    reason: str
    """Stable CamelCase word."""
    rank: int | None = None
    """Global rank, where one is known."""
    pod: str | None = None
    """Pod that failed first."""
    node: str | None = None
    """Node it ran on."""
    exit_code: int | None = None
    """Exit code of the trainer container."""
    step: int | None = None
    """Optimizer step it had reached."""
    message: str
    """Last line of what happened."""
    time: Time | None = None
    """When it happened."""


class JobStatus(ApiModel):
    """What the operator saw."""

    observed_generation: int | None = None
    """Generation of the spec this status belongs to; -1 before the operator has seen the job."""
    phase: Phase | None = None
    """Pending, Queued, Starting, Running, Restarting, Suspending, Suspended, Succeeded or Failed."""
    attempt: int = 0
    """Number of the current attempt; 0 before the first. It also counts resumes."""
    restarts: Restarts = Restarts()
    """New attempts after failures, by budget."""
    workers: WorkerCounts | None = None
    """Pods of the current attempt."""
    waiting: Waiting | None = None
    """Why the attempt does not start; absent when nothing waits."""
    progress: ProgressStatus | None = None
    """How far the run is."""
    checkpoint: CheckpointStatus | None = None
    """Newest committed checkpoint."""
    adapter: AdapterStatus | None = None
    """The finished adapter."""
    last_failure: Failure | None = None
    """Cause of the end of the last failed attempt."""
    failures: Annotated[list[PastFailure], Field(max_length=10)] | None = None
    """The last failed attempts, the newest at the end; absent before the first."""
    avoided_nodes: Annotated[list[NodeName], Field(max_length=3)] | None = None
    """Nodes on which the job failed more than once; the next attempts prefer others. Absent when there are none."""
    budgets: BudgetUses | None = None
    """How much of the restart budgets is used; absent before the first restart."""
    next_attempt_time: Time | None = None
    """When the next attempt may start (back-off)."""
    attempt_time: Time | None = None
    """When the current attempt was decided on; startDeadline counts from here, or from waitingSince."""
    waiting_since: Time | None = None
    """Since when attempts begin of which some worker never starts (GangIncomplete); startDeadline counts from here.
    Absent once all pods run, and where the attempt before ended otherwise."""
    start_time: Time | None = None
    """When the pods of the first attempt were created."""
    running_since: Time | None = None
    """When all pods of the current attempt ran; absent while they do not."""
    active_seconds: int = 0
    """Seconds all pods ran in earlier attempts."""
    completion_time: Time | None = None
    """When the job ended."""
    gpu_seconds: int | None = None
    """Seconds times GPUs of all attempts while all their pods ran, up to the last write of this status."""
    conditions: Annotated[list[Condition], Field(max_length=16), Keyed("type")] = []
    """Ready, Reconciling, Stalled, Complete, Failed and Suspended."""

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended for good."""
        return self.phase is not None and self.phase.is_terminal
