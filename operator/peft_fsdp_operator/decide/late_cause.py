"""The cause of an attempt's end may be seen after its echo: each kubelet reports for itself. Called by `rules`.

A gang is stopped at the first word of any worker. Where that word was "I lost a peer", the peer's own end is still to
come, and it decides on budget, hint and whether there is a next attempt at all.
"""

from datetime import datetime, timedelta
from typing import Final

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Failure, JobStatus, Phase

from ..decision import Decision
from ..seen import Observed
from ..times import read_time
from .budget import refund
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
    return end_attempt(seen, _without(echo, status), cause, now, absent=False)


def _explains(cause: Failure, echo: Failure) -> bool:
    if cause.reason in ECHOES or cause.reason == Reason.POD_DELETED:  # we deleted them all
        return False
    return (
        cause.time is not None and echo.time is not None and read_time(cause.time) <= read_time(echo.time) + CLOCK_SKEW
    )


def _without(echo: Failure, status: JobStatus) -> JobStatus:
    """The status as if the echo had never been charged to a budget nor remembered."""
    kept = [one for one in status.failures or [] if one.attempt != echo.attempt]
    return refund(Reason(echo.reason), changed(status, failures=kept))
