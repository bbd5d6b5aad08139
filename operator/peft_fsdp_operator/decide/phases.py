"""The ways from one phase to the next: each function makes the decision of one transition. Called by `rules`."""

from datetime import datetime
from typing import Any, Final

from peft_fsdp_api.job import PeftFsdpJob
from peft_fsdp_api.outcome import Outcome, parse_outcome
from peft_fsdp_api.reasons import REASONS, Budget, Reason
from peft_fsdp_api.status import CheckpointStatus, Failure, JobStatus, Phase, WorkerCounts

from ..decision import Decision, Notice
from ..figures import final_progress
from ..seen import Observed, PodSeen
from ..times import seconds_between, stamp, stamp_up
from .budget import judge
from .history import nodes_to_avoid, remember
from .nodes import lost_nodes, on_lost

ACTIVE: Final = (Phase.PENDING, Phase.STARTING, Phase.RUNNING)
"""Phases in which the current attempt has pods, or is about to have them."""


def begin_attempt(status: JobStatus, now: datetime) -> JobStatus:
    """The status with which the next attempt is announced, before any of its pods exists."""
    moment = stamp(now)
    return changed(
        status,
        attempt=status.attempt + 1,
        phase=Phase.PENDING,
        attempt_time=moment,
        start_time=status.start_time or moment,
        next_attempt_time=None,
        running_since=None,
        waiting=None,
        progress=None,
    )


def succeed(seen: Observed, status: JobStatus, now: datetime) -> Decision:
    """All workers ended well."""
    pods = current_pods(seen, status)
    outcomes = [outcome for pod in pods if (outcome := _outcome(pod))]
    adapter = next((outcome.adapter for outcome in outcomes if outcome.adapter), status.adapter)
    training = next((outcome.training for outcome in outcomes if outcome.training), None)
    ended = close_attempt(
        status,
        seen.job,
        now,
        phase=Phase.SUCCEEDED,
        progress=final_progress(training) if training else status.progress,
        completion_time=stamp(now),
        adapter=adapter,
        checkpoint=newest_checkpoint(seen, status),
        workers=count(seen, status),
        next_attempt_time=None,
    )
    message = f"attempt {status.attempt} finished"
    if adapter is not None:
        message += f"; the adapter is in {adapter.path} of claim {seen.job.spec.output.claim}"
    notice = Notice("Normal", "Succeeded", message)
    return Decision(ended, "Succeeded", message, delete=pods_to_remove(seen), notice=notice)


def end_attempt(seen: Observed, status: JobStatus, failure: Failure, now: datetime, absent: bool) -> Decision:
    """The attempt failed: another one, if the budget of this kind of failure allows it."""
    seed = f"{seen.job.metadata.uid}/{status.attempt}"
    verdict = judge(Reason(failure.reason), seen.job.spec.restart, status, now, seed)
    if verdict.restarts is None:
        return fail(seen, status, failure, verdict.why_not, now, absent)
    restarting = close_attempt(
        status,
        seen.job,
        now,
        phase=Phase.RESTARTING,
        restarts=verdict.restarts,
        budgets=verdict.budgets,
        **recorded(status, failure),
        next_attempt_time=stamp_up(now + verdict.wait) if verdict.wait else None,
        workers=count(seen, status),
    )
    reason, message = restart_headline(restarting)
    return Decision(
        restarting,
        reason,
        message,
        delete=pods_to_stop(seen, now),
        force=on_lost(seen.pods, lost_nodes(seen, now)),
        notice=Notice("Warning", reason, message),
        from_absence=absent,
    )


def restart_headline(status: JobStatus) -> tuple[str, str]:
    """Reason and sentence from the end of an attempt until the next one begins. The pods that stop meanwhile, and the
    wait after it, are no news: the cause stays to be read, and nothing is written on the way to the next attempt."""
    following = f"attempt {status.attempt + 1} " + (
        f"starts at {status.next_attempt_time}" if status.next_attempt_time else "follows"
    )
    failure = status.last_failure
    if failure is None:
        return "Restarting", following
    return failure.reason, f"attempt {status.attempt} ended: {describe(failure).rstrip('.')}; {following}"


def pods_to_stop(seen: Observed, now: datetime) -> tuple[PodSeen, ...]:
    """Those that nobody has told yet, and whose nodes are there to hear of it."""
    lost = lost_nodes(seen, now)
    return tuple(pod for pod in seen.pods if not pod.is_stopping and pod.node not in lost)


def fail(
    seen: Observed, status: JobStatus, failure: Failure, why: str, now: datetime, absent: bool = False
) -> Decision:
    """The job ends here. Pods that still run are stopped, those that ended are kept for their logs."""
    failed = close_attempt(
        status,
        seen.job,
        now,
        phase=Phase.FAILED,
        completion_time=stamp(now),
        **recorded(status, failure),
        next_attempt_time=None,
        workers=count(seen, status),
    )
    message = f"attempt {status.attempt} failed: {describe(failure)}" + (f" ({why})" if why else "")
    notice = Notice("Warning", failure.reason, message)
    return Decision(failed, failure.reason, message, delete=pods_to_remove(seen), notice=notice, from_absence=absent)


def pods_to_remove(seen: Observed, expired: bool = False) -> tuple[PodSeen, ...]:
    """What is to go once a job has ended: pods that still run, and where the spec says so, or time has, all."""
    remove_all = expired or seen.job.spec.cleanup == "delete"
    return tuple(pod for pod in seen.pods if not pod.is_stopping and (remove_all or pod.holds_resources))


def recorded(status: JobStatus, failure: Failure) -> dict[str, Any]:
    """The fields of the status that a failure changes. An end that no budget pays is none: what was learned of nodes
    from real ones is not pushed out by weeks of waiting for them."""
    if REASONS[Reason(failure.reason)].budget is Budget.FREE:
        return {"last_failure": failure, "waiting_since": status.waiting_since or status.attempt_time}
    failures = remember(status.failures or [], failure)
    return {"last_failure": failure, "failures": failures, "avoided_nodes": nodes_to_avoid(failures) or None}


def own_failure(reason: Reason, attempt: int, message: str, now: datetime) -> Failure:
    """A failure that the operator itself states."""
    return Failure(attempt=attempt, reason=reason, message=message, hint=REASONS[reason].hint or None, time=stamp(now))


def close_attempt(status: JobStatus, job: PeftFsdpJob, now: datetime, **update: Any) -> JobStatus:
    """The status at the end of an attempt: its time is added up, nothing of it waits any more."""
    timed = with_gpu_time(status, job, now)
    return changed(
        timed,
        active_seconds=status.active_seconds + seconds_between(status.running_since, now),
        running_since=None,
        waiting=None,
        **{"waiting_since": None, **update},
    )


def with_gpu_time(status: JobStatus, job: PeftFsdpJob, now: datetime) -> JobStatus:
    """The status with the GPU time up to now, the running attempt's included.

    Asked for when a status is written anyway: that time goes by is no reason to write.
    """
    gpus = job.spec.workers.nodes * job.spec.workers.gpus_per_node
    if not gpus or status.running_since is None:
        return status
    return changed(status, gpu_seconds=gpus * (status.active_seconds + seconds_between(status.running_since, now)))


def changed(status: JobStatus, **update: Any) -> JobStatus:
    """The status with other values in some fields."""
    return status.model_copy(update=update)


def current_pods(seen: Observed, status: JobStatus) -> list[PodSeen]:
    """The pods of the attempt that the status speaks of."""
    return [pod for pod in seen.pods if pod.attempt == status.attempt]


def newest_checkpoint(seen: Observed, status: JobStatus) -> CheckpointStatus | None:
    """The checkpoint that worker 0 left when it ended, or else the one known before."""
    outcomes = (_outcome(pod) for pod in current_pods(seen, status))
    return next((outcome.checkpoint for outcome in outcomes if outcome and outcome.checkpoint), status.checkpoint)


def count(seen: Observed, status: JobStatus) -> WorkerCounts:
    """The pods of the current attempt by what became of them."""
    pods = current_pods(seen, status)
    desired = seen.job.spec.workers.nodes
    succeeded = sum(pod.has_succeeded for pod in pods)
    running = sum(pod.trainer_running for pod in pods)
    failed = sum(pod.phase == "Failed" or (pod.trainer_end is not None and not pod.has_succeeded) for pod in pods)
    pending = max(0, desired - succeeded - running - failed)
    return WorkerCounts(desired=desired, pending=pending, running=running, succeeded=succeeded, failed=failed)


def describe(failure: Failure) -> str:
    """One sentence: which pod, on which node, why, what to do."""
    where = f"pod {failure.pod}" if failure.pod else ""
    if failure.rank is not None:
        where = f"rank {failure.rank} in {where}" if where else f"rank {failure.rank}"
    if failure.node:
        where += f" on {failure.node}"
    last_line = failure.message.strip().splitlines()[-1] if failure.message.strip() else ""
    said = f"{where}: {failure.reason}: {last_line}" if where else f"{failure.reason}: {last_line}"
    return f"{said}. {failure.hint}" if failure.hint else said


def _outcome(pod: PodSeen) -> Outcome | None:
    return parse_outcome(pod.trainer_end.message) if pod.trainer_end else None
