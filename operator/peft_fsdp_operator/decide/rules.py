"""The rules of a job's life, top to bottom; the first that applies decides. Called by `reconcile` through `decide`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from peft_fsdp_api.durations import parse_duration
from peft_fsdp_api.status import JobStatus, Phase

from ..decision import Decision, Notice, Shared
from ..seen import Observed
from ..times import read_time
from .late_cause import when_cause_is_late
from .nodes import find_silent, lost_nodes, next_loss, on_lost
from .phases import (
    ACTIVE,
    begin_attempt,
    changed,
    close_attempt,
    count,
    current_pods,
    newest_checkpoint,
    pods_to_remove,
    pods_to_stop,
    restart_headline,
    succeed,
)
from .running import (
    carry_on,
    next_deadline,
    when_beginning,
    when_failed,
    when_late,
    when_late_between_attempts,
)
from .stall import when_stalled
from .undeleted import while_undeleted
from .waiting import find_overdue

STOP_INTERVAL: Final = timedelta(seconds=5)
"""How often pods that stop are looked at, so that one that does not is told of."""

Rule = Callable[[Observed, JobStatus, datetime], Decision | None]


def decide(seen: Observed, now: datetime) -> Decision:
    """What to do about a job, and the status that says so."""
    status = changed(_with_newest_attempt(seen, now), observed_generation=seen.job.metadata.generation)
    decisions = (rule(seen, status, now) for rule in RULES)
    decision = next((one for one in decisions if one is not None), None) or carry_on(seen, status, now)
    decision = while_undeleted(decision, seen, now)
    deadline = next_deadline(seen, decision.status)
    loss = next_loss(seen, now)
    moments = [moment for moment in (decision.look_again, deadline, loss) if moment is not None]
    return replace(decision, look_again=min(moments, default=None))


def _with_newest_attempt(seen: Observed, now: datetime) -> JobStatus:
    """The status, or what the pods say where it was lost: an attempt number is never given out twice."""
    newest = max((pod.attempt for pod in seen.pods), default=0)
    if newest <= seen.status.attempt:
        return seen.status
    lost = changed(seen.status, attempt=newest - 1)
    if seen.status.has_ended:
        return changed(seen.status, attempt=newest)
    return begin_attempt(lost, now)


def _when_finished(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """A terminal phase is never left; what remains is to clean up."""
    if status.phase is None or not status.phase.is_terminal:
        return None
    spec = seen.job.spec
    until = None
    if spec.ttl_after_finished is not None and status.completion_time is not None:
        until = read_time(status.completion_time) + parse_duration(spec.ttl_after_finished)
    expired = until is not None and now >= until
    return Decision(
        changed(status, waiting=None),
        status.last_failure.reason if status.phase is Phase.FAILED and status.last_failure else status.phase,
        f"the job has ended: {status.phase}",
        delete=pods_to_remove(seen, expired),
        shared=Shared.REMOVE if expired else Shared.LEAVE,
        look_again=None if expired else until,
    )


def _when_stopping(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """Between two attempts, or before a rest: nothing begins before every old pod is gone or its node is given up."""
    resumes = status.phase is Phase.SUSPENDED and not seen.job.spec.suspend
    if status.phase not in (Phase.RESTARTING, Phase.SUSPENDING) and not resumes:
        return None
    lost = lost_nodes(seen, now)
    remaining = [pod for pod in seen.pods if not (pod.is_forced and pod.node in lost)]
    if not remaining:
        return None
    waiting = find_silent(remaining, seen) or find_overdue(remaining, now)
    # Pods that were asked to stop save first, and their last word is there only until they are gone.
    saved = newest_checkpoint(seen, status)
    waits = changed(status, waiting=waiting, workers=count(seen, status), checkpoint=saved)
    return Decision(
        waits,
        *_stopping_headline(seen, waits, len(remaining)),
        delete=pods_to_stop(seen, now),
        force=on_lost(seen.pods, lost),
        look_again=now + STOP_INTERVAL,
    )


def _when_completed(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    if status.phase not in ACTIVE:
        return None
    succeeded = {pod.worker for pod in current_pods(seen, status) if pod.has_succeeded}
    return succeed(seen, status, now) if len(succeeded) >= seen.job.spec.workers.nodes else None


def _when_suspended(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """`suspend` stops the pods, which save their state; nothing is charged to any budget."""
    if not seen.job.spec.suspend:
        return None
    live = pods_to_stop(seen, now)
    if status.phase in ACTIVE and seen.pods:
        closed = close_attempt(status, seen.job, now, phase=Phase.SUSPENDING, workers=count(seen, status))
        message = f"attempt {status.attempt} is stopped because spec.suspend is true"
        return Decision(closed, "Suspending", message, delete=live, notice=Notice("Normal", "Suspending", message))
    resting = changed(
        status,
        phase=Phase.SUSPENDED,
        waiting=None,
        waiting_since=None,
        running_since=None,
        next_attempt_time=None,
        workers=None,
    )
    message = "no pods run because spec.suspend is true"
    new = status.phase is not Phase.SUSPENDED
    notice = Notice("Normal", "Suspended", message) if new else None
    return Decision(resting, "Suspended", message, delete=live, notice=notice, from_absence=new and status.attempt > 0)


def _when_backing_off(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    if status.phase is not Phase.RESTARTING or status.next_attempt_time is None:
        return None
    until = read_time(status.next_attempt_time)
    if now >= until:
        return None
    waits = changed(status, waiting=None, workers=count(seen, status))
    return Decision(waits, *restart_headline(waits), look_again=until)


def _stopping_headline(seen: Observed, status: JobStatus, remaining: int) -> tuple[str, str]:
    """Reason and sentence while pods stop: what they wait for, or what they are stopped for."""
    reason = "Suspending" if status.phase is Phase.SUSPENDING else "Restarting"
    if status.waiting is not None:
        return reason, status.waiting.message
    if status.phase is Phase.RESTARTING and not seen.job.spec.suspend:
        return restart_headline(status)
    target = "suspending" if seen.job.spec.suspend else f"attempt {status.attempt + 1}"
    return reason, f"{remaining} pods of attempt {status.attempt} stop before {target}"


RULES: Final[tuple[Rule, ...]] = (
    _when_finished,
    when_cause_is_late,
    when_late_between_attempts,
    _when_stopping,
    _when_completed,
    _when_suspended,
    _when_backing_off,
    when_beginning,
    when_failed,
    when_late,
    when_stalled,
)
