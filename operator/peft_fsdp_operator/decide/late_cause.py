"""The cause of an attempt's end may be seen after its echo: each kubelet reports for itself. Called by `rules`.

A gang is stopped at the first word of any worker. Where that word was "I lost a peer", the peer's own end is still to
come, and it decides on budget, hint and whether there is a next attempt at all.
"""

from datetime import datetime, timedelta
from typing import Final

from peft_fsdp_api.reasons import REASONS, Budget, Reason
from peft_fsdp_api.status import Failure, JobStatus, Phase

from ..decision import Decision
from ..seen import Observed
from ..times import read_time
from .cause import ECHOES, find_cause
from .phases import changed, current_pods, end_attempt

CLOCK_SKEW: Final = timedelta(seconds=2)
"""Between the clocks of two nodes, whole seconds included. What ended later than that ended because of our stop."""


def when_cause_is_late(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """While the pods of an attempt stop: the verdict on an echo is taken back for the one on its cause."""
    echo = status.last_failure
    if status.phase is not Phase.RESTARTING or echo is None or echo.attempt != status.attempt:
        return None
    if echo.reason not in ECHOES:
        return None
    cause = find_cause(status.attempt, current_pods(seen, status), {}, now)
    if cause is None or not _explains(cause, echo):
        return None
    return end_attempt(seen, _without_charge(status, echo), cause, now, absent=False)


def _explains(cause: Failure, echo: Failure) -> bool:
    if cause.reason in ECHOES or cause.reason == Reason.POD_DELETED:  # we deleted them all
        return False
    return cause.time is not None and echo.time is not None and read_time(cause.time) <= _latest(echo.time)


def _latest(echo_time: str) -> datetime:
    return read_time(echo_time) + CLOCK_SKEW


def _without_charge(status: JobStatus, echo: Failure) -> JobStatus:
    """The status as if the echo had never been charged to a budget nor remembered."""
    budget = REASONS[Reason(echo.reason)].budget
    kept = [one for one in status.failures or [] if one.attempt != echo.attempt]
    if budget is Budget.NONE or status.budgets is None:
        return changed(status, failures=kept)
    use = getattr(status.budgets, budget)
    restarts = status.restarts.model_copy(update={budget: getattr(status.restarts, budget) - 1})
    budgets = status.budgets.model_copy(update={budget: use.model_copy(update={"used": use.used - 1})})
    return changed(status, failures=kept, restarts=restarts, budgets=budgets)
