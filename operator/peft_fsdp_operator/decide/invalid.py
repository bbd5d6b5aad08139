"""A job that breaks the contract, because it is older than a rule or because the API server has other rules. Called by
`reconcile`; nothing in its spec but `suspend` can be relied on."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.schema import Problem
from peft_fsdp_api.status import JobStatus, Phase

from ..decision import Decision, Notice
from ..seen import PodSeen
from ..times import seconds_between
from .phases import changed
from .rules import STOP_INTERVAL


def report_invalid(
    status: JobStatus,
    generation: int,
    problems: Iterable[Problem],
    pods: Sequence[PodSeen],
    suspend: bool,
    now: datetime,
) -> Decision:
    """Say so and touch nothing, but stop the pods where that is asked for. Not a latch: a corrected spec goes on. A job
    that has ended stays as it is, no rule that came later makes it fail; what still runs of it is stopped."""
    told = "; ".join(str(problem) for problem in problems)
    known = changed(status, observed_generation=generation, phase=status.phase or Phase.PENDING)
    if status.has_ended:
        left = tuple(pod for pod in pods if not pod.is_stopping and pod.holds_resources)
        return Decision(known, str(status.phase), f"the job has ended: {status.phase}", delete=left)
    if suspend:
        return _suspend(known, told, pods, now)
    notice = Notice("Warning", Reason.SPEC_INVALID, told)
    return Decision(known, Reason.SPEC_INVALID, told, notice=notice, is_stuck=True)


def _suspend(status: JobStatus, told: str, pods: Sequence[PodSeen], now: datetime) -> Decision:
    rests = changed(
        status,
        phase=Phase.SUSPENDING if pods else Phase.SUSPENDED,
        active_seconds=status.active_seconds + seconds_between(status.running_since, now),
        running_since=None,
        next_attempt_time=None,
        waiting=None,
        workers=status.workers if pods else None,
    )
    message = f"{told}; no pods run because spec.suspend is true"
    return Decision(
        rests,
        Reason.SPEC_INVALID,
        message,
        delete=tuple(pod for pod in pods if not pod.is_stopping),
        look_again=now + STOP_INTERVAL if pods else None,
        notice=Notice("Warning", Reason.SPEC_INVALID, message),
        is_stuck=True,
    )
