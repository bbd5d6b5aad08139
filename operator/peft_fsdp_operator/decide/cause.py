"""Why an attempt ended: the earliest failure among all workers, the weightiest kind first.

A gang fails as one: one rank's error makes all others fail a moment later with errors of their own. What the user
needs is the first one. Called by `rules`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final

from peft_fsdp_api.outcome import Outcome, parse_outcome
from peft_fsdp_api.reasons import EXIT_CODES, REASONS, Budget, Reason
from peft_fsdp_api.status import Failure

from ..seen import TAKEN_BY_TAINT, ContainerEnd, PodSeen
from ..times import read_time, stamp


class Weight(IntEnum):
    """Kinds of failure; a lower one explains the higher ones."""

    NODE_LOST = 0
    DISRUPTED = 1
    REJECTED = 2
    OUT_OF_MEMORY = 3
    APPLICATION = 4
    DELETED = 5
    ECHO = 6
    """What a worker says when another one has gone: lost peer, time-out, rendezvous, asked to stop, superseded."""
    STOPPED = 7


ECHOES: Final = frozenset(
    {
        Reason.LOST_PEER,
        Reason.COLLECTIVE_TIMEOUT,
        Reason.RENDEZVOUS_FAILED,
        Reason.PREEMPTED,
        Reason.SUPERSEDED,
        Reason.SUCCEEDED,
    }
)
SIGKILL, SIGTERM = 137, 143
SAME_TIME: Final = timedelta(seconds=2)
"""Two moments this close may lie the other way round: kubelets give whole seconds, container runtimes notice an end up
to a second late, and every node has a clock of its own."""
UNSEEN_ENDS: Final = frozenset({"Unknown", "ContainerStatusUnknown"})
"""What a container runtime and a kubelet say of a container that was gone when they came back. Its exit code (255, 137)
is theirs, not the container's."""
NEVER_STARTED: Final = "StartError"
"""The container runtime could not start the container, on GPU nodes mostly for a broken driver; exit code 128 is its
word too."""
LACKS_PROGRAM: Final = "exec: "
"""It stands in the runtime's words where the image lacks the program, which no other node will find either."""
EVICTED: Final = "Evicted"
"""What a kubelet says of a pod that it took off its node; a drain and a preemption have other words."""
OWN_LIMIT: Final = re.compile(r"\bexceed(s|ed) (the|its) ")
"""It stands in the kubelet's words where the pod had more on the disk than it may, however much room the node has."""
OWN_LIMIT_HINT: Final = (
    "Put downloads and tokenized data on cache.claim, or raise ephemeral-storage in workers.resources.limits (a "
    "LimitRange of the namespace may set it)."
)
KERNEL_OOM: Final = "OOMKilled"
KERNEL_OOM_HINT: Final = (
    "Raise workers.resources.limits.memory (it includes /dev/shm), or lower training.batchSize and dataset.maxLength."
)


@dataclass(frozen=True)
class Candidate:
    """One failure that may be the cause."""

    weight: Weight
    time: datetime
    failure: Failure


@dataclass(frozen=True)
class Nodes:
    """Nodes by name, each with what is said of it."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Their pods are given up."""
    silent: Mapping[str, str] = field(default_factory=dict)
    """Those that do not answer, the lost ones among them."""


ALL_ANSWER: Final = Nodes()


def find_cause(
    attempt: int, pods: Iterable[PodSeen], missing: Mapping[int, str], now: datetime, nodes: Nodes = ALL_ANSWER
) -> Failure | None:
    """The cause of the end of an attempt, or None while nothing has failed.

    `pods` are those of the attempt, `missing` its workers that have no pod though they should, with its name.
    """
    candidates = [candidate for pod in pods if (candidate := _judge(pod, nodes, now))]
    candidates += [_vanished(worker, pod, attempt, now) for worker, pod in missing.items()]
    if not candidates:
        return None
    first = min(candidates, key=lambda one: (one.weight, one.time))
    tied = [one for one in candidates if one.weight is first.weight and one.time <= first.time + SAME_TIME]
    return min(tied, key=lambda one: (is_retried(one.failure), one.time, one.failure.pod or "")).failure


def is_retried(failure: Failure) -> bool:
    """Whether the same may go well the next time. Of two ends at the same time the one that would come again counts:
    what it did to the others looks to them like any error."""
    return REASONS[Reason(failure.reason)].budget is not Budget.NONE


def _judge(pod: PodSeen, nodes: Nodes, now: datetime) -> Candidate | None:
    return next(_judgements(pod, nodes, now), None)


def _judgements(pod: PodSeen, nodes: Nodes, now: datetime) -> Iterator[Candidate]:
    if pod.has_succeeded:
        return
    end = pod.trainer_end
    if pod.node is not None and pod.node in nodes.lost and not pod.has_ended:
        yield _candidate(Weight.NODE_LOST, pod, Reason.NODE_LOST, nodes.lost[pod.node], now, None)
    if pod.phase == "Failed" and pod.failure is not None and pod.failure.reason == EVICTED:
        yield _evicted(pod, pod.failure.message, now)
    if pod.disruption is not None:
        lost = _is_node_loss(pod.disruption.reason, pod, nodes)
        reason, weight = (Reason.NODE_LOST, Weight.NODE_LOST) if lost else (Reason.DISRUPTED, Weight.DISRUPTED)
        said = nodes.silent.get(pod.node or "") if lost else None
        said = f"{pod.disruption.reason}: {said or pod.disruption.message}"
        yield _candidate(weight, pod, reason, said, now, end)
    if end is None and pod.phase == "Failed" and pod.failure is not None:
        said = f"{pod.failure.reason}: {pod.failure.message}"
        yield _candidate(Weight.REJECTED, pod, Reason.KUBELET_REJECTED, said, now, None)
    if end is not None:
        yield _exited(pod, end, now)
    if pod.init_failure is not None:
        said = pod.init_failure.message
        yield _candidate(Weight.APPLICATION, pod, Reason.APPLICATION_ERROR, said, now, pod.init_failure)
    if pod.is_stopping:
        yield _candidate(Weight.DELETED, pod, Reason.POD_DELETED, "the pod was deleted", now, None)
    if pod.phase == "Failed":
        yield _candidate(Weight.APPLICATION, pod, Reason.APPLICATION_ERROR, "the pod failed", now, None)


def _is_node_loss(word: str, pod: PodSeen, nodes: Nodes) -> bool:
    """Taints are also put on nodes that work, to empty them: then the pod was taken away, and nothing is lost."""
    if word == TAKEN_BY_TAINT:
        return pod.node in nodes.silent or pod.is_unready
    return word == "DeletionByPodGC"


def _evicted(pod: PodSeen, message: str, now: datetime) -> Candidate:
    """The container's own end tells nothing: it has two seconds to leave, and often says that it was asked to."""
    if not OWN_LIMIT.search(message):
        return _candidate(Weight.DISRUPTED, pod, Reason.EVICTED, message, now, pod.trainer_end)
    full = _candidate(Weight.REJECTED, pod, Reason.DISK_FULL, message, now, pod.trainer_end)
    return _amended(full, hint=OWN_LIMIT_HINT)


def _amended(candidate: Candidate, **update: Any) -> Candidate:
    return replace(candidate, failure=candidate.failure.model_copy(update=update))


def _exited(pod: PodSeen, end: ContainerEnd, now: datetime) -> Candidate:
    outcome = parse_outcome(end.message)
    if end.reason == KERNEL_OOM:
        said = "the kernel killed the container: it used more memory than its limit"
        killed = _candidate(Weight.OUT_OF_MEMORY, pod, Reason.OUT_OF_MEMORY, said, now, end)
        return _amended(killed, hint=KERNEL_OOM_HINT)
    if outcome is not None and outcome.reason is not Reason.SUCCEEDED:
        return _told(pod, end, outcome, now)
    if _was_told_to_stop(pod, end):
        return _candidate(Weight.DELETED, pod, Reason.POD_DELETED, "the pod was deleted", now, end)
    if end.reason in UNSEEN_ENDS:
        said = f"the node was restarted, and the container was gone afterwards ({end.reason})"
        return _candidate(Weight.NODE_LOST, pod, Reason.NODE_LOST, said, now, end)
    if end.reason == NEVER_STARTED and LACKS_PROGRAM not in end.message:
        said = f"the container could not be started: {end.message}"
        return _candidate(Weight.REJECTED, pod, Reason.KUBELET_REJECTED, said, now, end)
    if end.exit_code == SIGTERM:
        return _candidate(Weight.STOPPED, pod, Reason.PREEMPTED, "the container was asked to stop", now, end)
    reason = EXIT_CODES.get(end.exit_code, Reason.APPLICATION_ERROR)
    said = end.message.strip() or f"the container ended with exit code {end.exit_code} and left no word"
    return _candidate(_weigh(reason, pod), pod, reason, said, now, end)


def _was_told_to_stop(pod: PodSeen, end: ContainerEnd) -> bool:
    """Whether the pod's deletion ended the container: SIGTERM comes with it, SIGKILL once its grace period is over.

    A signal before that is the end of its own, which the deletion of a failed gang only followed.
    """
    if not pod.deleted_at or not pod.grace_seconds or end.exit_code not in (SIGKILL, SIGTERM):
        return False  # a pod that is removed without a grace period had ended before
    if end.finished_at is None:
        return True
    due = read_time(pod.deleted_at)
    if end.exit_code == SIGTERM:
        due -= timedelta(seconds=pod.grace_seconds)
    return read_time(end.finished_at) + SAME_TIME >= due


def _told(pod: PodSeen, end: ContainerEnd, outcome: Outcome, now: datetime) -> Candidate:
    """The launcher left an Outcome. A worker that was deleted and saved its state says so in its own way."""
    reason = outcome.reason
    said = "\n".join(part for part in (outcome.message, outcome.traceback) if part)
    if pod.is_stopping and reason is Reason.PREEMPTED:
        reason, said = Reason.POD_DELETED, f"the pod was deleted; {said}"
    candidate = _candidate(_weigh(reason, pod), pod, reason, said, now, end)
    hint = outcome.hint or candidate.failure.hint
    return _amended(candidate, rank=outcome.rank, step=outcome.step, hint=hint)


def _weigh(reason: Reason, pod: PodSeen) -> Weight:
    if reason is Reason.POD_DELETED:
        return Weight.DELETED
    if reason is Reason.OUT_OF_MEMORY:
        return Weight.OUT_OF_MEMORY
    return Weight.ECHO if reason in ECHOES else Weight.APPLICATION


def _candidate(
    weight: Weight, pod: PodSeen, reason: Reason, said: str, now: datetime, end: ContainerEnd | None
) -> Candidate:
    time = read_time(end.finished_at) if end and end.finished_at else now
    failure = Failure(
        attempt=pod.attempt,
        pod=pod.name,
        node=pod.node,
        reason=reason,
        exit_code=end.exit_code if end else None,
        message=said,
        hint=REASONS[reason].hint or None,
        time=stamp(time),
    )
    return Candidate(weight, time, failure)


def _vanished(worker: int, pod: str, attempt: int, now: datetime) -> Candidate:
    failure = Failure(
        attempt=attempt,
        pod=pod,
        reason=Reason.POD_DELETED,
        message=f"the pod of worker {worker} is gone",
        hint=REASONS[Reason.POD_DELETED].hint,
        time=stamp(now),
    )
    return Candidate(Weight.DELETED, now, failure)
