"""The cause of the end of this pod's ranks: the earliest failure that is not the consequence of another."""

import signal
from collections.abc import Mapping, Sequence
from typing import Final

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.reasons import EXIT_CODES, REASONS, Reason

from ..errors import TrainerError
from ..failure import HOST_MEMORY_HINT, RankFailure, last_lines, reason_in_log
from ..report import RankReport
from .ranks import RankExit

# A rank that loses its peer says so, often before the peer's own end is known.
CONSEQUENCES: Final = (Reason.LOST_PEER, Reason.COLLECTIVE_TIMEOUT)


def compose_outcome(
    exits: Sequence[RankExit],
    failures: Mapping[int, RankFailure],
    reports: Mapping[int, RankReport],
    *,
    out_of_memory: bool,
    stop_requested: bool,
) -> Outcome:
    """The outcome of the ranks of one node. `failures` and `reports` are by rank; `out_of_memory` says that the
    kernel killed a process of this container for memory."""
    ends = [end for end in exits if end.code != 0]
    found = [cause for end in ends if (cause := _cause(end, failures.get(end.rank), out_of_memory)) is not None]
    primary = min(found, key=lambda cause: (_precedence(cause.reason), cause.time), default=None)
    if primary is None:
        reason = Reason.PREEMPTED if ends else Reason.SUCCEEDED
        message = _unsaved(ends, stop_requested)
        primary = RankFailure(rank=min((end.rank for end in exits), default=0), time=0, reason=reason, message=message)
    if primary.reason is Reason.COLLECTIVE_TIMEOUT:
        # They neither ran into the time-out of the others nor stopped when they were asked to.
        still = [end.rank for end in ends if end.killed and end.rank not in failures]
        words = "; ".join([primary.message, *(_stood_still(rank, reports.get(rank)) for rank in still)])
        primary = primary.model_copy(update={"message": words})
    return _outcome(primary, reports)


def outcome_of_error(error: TrainerError) -> Outcome:
    """The outcome of an error before any rank ran."""
    return Outcome(reason=error.reason, message=error.message, hint=error.hint or REASONS[error.reason].hint)


def outcome_of_failure(failure: RankFailure) -> Outcome:
    """The outcome of an exception in the launcher itself."""
    return _outcome(failure, {}).model_copy(update={"rank": None})


def _precedence(reason: Reason) -> int:
    if reason is Reason.PREEMPTED:
        return 2
    return 1 if reason in CONSEQUENCES else 0


def _cause(end: RankExit, failure: RankFailure | None, out_of_memory: bool) -> RankFailure | None:
    """What a rank's end says about the cause; None for a rank that only ended because the launcher ended it."""
    if failure is not None:
        return failure
    if end.killed or (end.stopped and end.code == -signal.SIGTERM):
        return None
    if end.code == -signal.SIGKILL and out_of_memory:
        message = f"the kernel killed rank {end.rank} because the container ran out of memory"
        return RankFailure(
            rank=end.rank, time=end.time, reason=Reason.OUT_OF_MEMORY, message=message, hint=HOST_MEMORY_HINT
        )
    if end.code < 0:
        name = signal.Signals(-end.code).name
        reason, line = reason_in_log(end.telling)
        message = f"rank {end.rank} was killed by signal {-end.code} ({name})" + (f": {line}" if line else "")
    else:
        reason = EXIT_CODES.get(end.code, Reason.APPLICATION_ERROR)
        message = f"rank {end.rank} exited with code {end.code} and left no report of its failure"
    return RankFailure(rank=end.rank, time=end.time, reason=reason, message=message, traceback=last_lines(end.tail))


def _stood_still(rank: int, report: RankReport | None) -> str:
    last = report.progress if report else None
    return f"rank {rank} stood still" + (f" in stage {last.stage} since {last.heartbeat}" if last else "")


def _unsaved(ends: Sequence[RankExit], stop_requested: bool) -> str:
    """What to say of ranks that did not stop by themselves."""
    if any(end.killed for end in ends):
        return "the ranks did not stop in time and were killed; the next attempt resumes from the newest checkpoint"
    return "stopped before the training began" if ends and stop_requested else ""


def _outcome(cause: RankFailure, reports: Mapping[int, RankReport]) -> Outcome:
    first = reports.get(0)
    training = first.training if first else None
    succeeded = cause.reason is Reason.SUCCEEDED
    return Outcome(
        reason=cause.reason,
        message=cause.message,
        hint=cause.hint or REASONS[cause.reason].hint,
        traceback=cause.traceback,
        rank=None if succeeded else cause.rank,
        step=cause.step if cause.step is not None else training.step if training else None,
        training=training,
        checkpoint=first.checkpoint if first else None,
        adapter=first.adapter if first else None,
    )
