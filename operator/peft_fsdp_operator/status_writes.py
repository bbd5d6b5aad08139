"""When a changed status is written: news at once, figures that only move now and then. Pure; called by `reconcile`."""

from collections.abc import Mapping
from typing import Final

from peft_fsdp_api.status import JobStatus, Phase

from .decision import CREATING_PODS, STARTING_PODS

PROGRESS_INTERVAL: Final = 10.0
COUNTS_INTERVAL: Final = 1.0
FIGURES_PER_SECOND: Final = 25.0
"""Writes of small news, of all jobs in one phase together: a status write is the dearest request an API server gets
from us. A thousand running jobs show their progress every forty seconds, two hundred every ten."""
COUNTS_PER_SECOND: Final = 10.0
MADE: Final[Mapping[str, str]] = {Phase.STARTING: Phase.PENDING, STARTING_PODS: CREATING_PODS}
"""A status that says that pods are being made stays true, and all that follows from it, once they are made."""


def seconds_to_wait(before: JobStatus, after: JobStatus, since_last: float, since_news: float, alike: int = 1) -> float:
    """How long the difference can wait, given the seconds since the last write, those since there is a difference, and
    how many jobs are as far; 0 means write now.

    Counts wait from the first pod that moved: the others mostly follow within the moment, and so does the news of all.
    That all pods were made is such news: on nodes that have the image they run before anybody has read it.
    """
    if _without_figures(before) != _without_figures(after):
        return 0.0
    if (before.phase, before.workers, before.waiting) != (after.phase, after.workers, after.waiting):
        return max(0.0, max(COUNTS_INTERVAL, alike / COUNTS_PER_SECOND) - since_news)
    return max(0.0, max(PROGRESS_INTERVAL, alike / FIGURES_PER_SECOND) - since_last)


def _without_figures(status: JobStatus) -> dict[str, object]:
    """The status without counts, progress, sentences that hold them, and which of several workers is named."""
    kept = status.model_dump(exclude={"phase", "workers", "waiting", "progress", "checkpoint", "conditions"})
    kept["phase"] = MADE.get(status.phase or "", status.phase)
    kept["waiting"] = status.waiting.reason if status.waiting else None
    if status.phase in (Phase.RESTARTING, Phase.SUSPENDING):  # the pod that told of it is about to go
        kept["checkpoint"] = status.checkpoint
    kept["conditions"] = [
        (one.type, one.status, MADE.get(one.reason, one.reason), one.observed_generation) for one in status.conditions
    ]
    return kept
