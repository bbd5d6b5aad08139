"""The cause of an attempt's end may be seen after its echo: each kubelet reports for itself. Called by `rules`.

A gang is stopped at the first word of any worker. Where that word was "I lost a peer", the peer's own end is still to
come, and it decides on budget, hint and whether there is a next attempt at all. The same holds for an error that is
retried, where a worker that ended at the same time says that its own would come again. That a node does not answer is
known last of all, close to a minute after its peers have missed it.
"""

from datetime import datetime
from typing import Final

from peft_fsdp_api.reasons import REASONS, Budget, Reason
from peft_fsdp_api.status import Failure, JobStatus, Phase

from ..decision import Decision
from ..seen import Observed
from ..times import read_time
from .budget import refund
from .cause import ECHOES, SAME_TIME, Nodes, find_cause, is_retried
from .nodes import silent_nodes
from .phases import changed, current_pods, end_attempt

CORRECTED: Final = ECHOES | {Reason.GANG_INCOMPLETE}
"""First words that any cause explains: a worker may have started and failed, and its kubelet has not said either."""


def when_cause_is_late(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """While the pods of an attempt stop: the verdict on what was seen first is taken back for the one on its cause."""
    told = status.last_failure
    if status.phase is not Phase.RESTARTING or told is None or told.attempt != status.attempt:
        return None
    silent = silent_nodes(seen)
    cause = find_cause(status.attempt, [*current_pods(seen, status), *seen.departed], {}, now, Nodes(silent, silent))
    if cause is None or not _explains(cause, told):
        return None
    return end_attempt(seen, _without(told, status), cause, now, absent=False)


def _explains(cause: Failure, told: Failure) -> bool:
    """What ended later than the first word ended because of our stop."""
    if cause.reason in ECHOES or cause.reason == Reason.POD_DELETED:  # we deleted them all
        return False
    if told.reason not in CORRECTED and not _is_final(cause, told):
        return False
    if cause.reason == Reason.NODE_LOST:
        return True
    return (
        cause.time is not None and told.time is not None and read_time(cause.time) <= read_time(told.time) + SAME_TIME
    )


def _is_final(cause: Failure, told: Failure) -> bool:
    """Whether one of two errors of programs would come again, and the other one was to be retried."""
    return REASONS[Reason(told.reason)].budget is Budget.APPLICATION and not is_retried(cause)


def _without(told: Failure, status: JobStatus) -> JobStatus:
    """The status as if the first word had never been charged to a budget nor remembered."""
    kept = [one for one in status.failures or [] if one.attempt != told.attempt]
    return refund(Reason(told.reason), changed(status, failures=kept))
