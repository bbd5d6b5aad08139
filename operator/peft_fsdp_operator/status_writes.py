"""When a changed status is written: news at once, figures that only move now and then. Pure; called by `reconcile`."""

from typing import Final

from peft_fsdp_api.status import JobStatus

PROGRESS_INTERVAL: Final = 10.0
COUNTS_INTERVAL: Final = 1.0


def seconds_to_wait(before: JobStatus, after: JobStatus, since_last: float) -> float:
    """How long the difference can wait, given the seconds since the last write; 0 means write now."""
    if _without_figures(before) != _without_figures(after):
        return 0.0
    interval = COUNTS_INTERVAL if before.workers != after.workers else PROGRESS_INTERVAL
    return max(0.0, interval - since_last)


def _without_figures(status: JobStatus) -> dict[str, object]:
    """The status without counts, progress and sentences that hold them."""
    kept = status.model_dump(exclude={"workers", "progress", "checkpoint", "conditions"})
    kept["conditions"] = [(one.type, one.status, one.reason, one.observed_generation) for one in status.conditions]
    return kept
