"""Why an attempt does not start, in the cluster's own words, and whether that can end by itself. Called by `rules`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from peft_fsdp_api.status import JobStatus, Waiting

from ..seen import Observed, PodSeen, Refusal, Words
from .nodes import find_silent

# Somebody has to change the job or an object it names; the cluster alone goes on refusing.
HOPELESS: Final = frozenset(
    {"InvalidImageName", "ErrImageNeverPull", "NameTaken", "Invalid", "BadRequest", "SpecInvalid"}
)


def find_waiting(pods: Iterable[PodSeen], refusal: Refusal | None, pod_words: Mapping[str, Words]) -> Waiting | None:
    """The first worker that waits, or the pod that could not be created. `pod_words` is what events say."""
    if refusal is not None:
        return Waiting(worker=refusal.worker, reason=refusal.reason, message=refusal.message)
    for pod in sorted(pods, key=lambda one: one.worker):
        words = _words(pod, pod_words)
        if words is not None:
            return Waiting(worker=pod.worker, reason=words.reason, message=words.message)
    return None


def find_obstacle(pods: Sequence[PodSeen], seen: Observed, status: JobStatus) -> Waiting | None:
    """Why these pods of the attempt do not all run: a silent node first, then whatever they wait for."""
    return find_silent(pods, seen) or find_waiting(pods, current_refusal(seen, status), seen.pod_words)


def current_refusal(seen: Observed, status: JobStatus) -> Refusal | None:
    """What the API server refused in this attempt."""
    return seen.refusal if seen.refusal and seen.refusal.attempt == status.attempt else None


def _words(pod: PodSeen, pod_words: Mapping[str, Words]) -> Words | None:
    if pod.has_started or pod.trainer_end is not None:
        return None
    return pod.unscheduled or pod.waiting or pod_words.get(pod.uid)


def find_overdue(pods: Iterable[PodSeen], now: datetime) -> Waiting | None:
    """A pod that was told to stop, had its grace period and is still there: its node does not answer."""
    for pod in sorted(pods, key=lambda one: one.worker):
        if pod.is_overdue(now):
            message = (
                f"pod {pod.name} was told to stop by {pod.deleted_at} and is still there; the next attempt starts "
                f"when it is gone, or when node {pod.node} is removed, tainted as out of service, or given up"
            )
            return Waiting(worker=pod.worker, reason="Terminating", message=message)
    return None


def is_hopeless(waiting: Waiting | None) -> bool:
    """Whether the wait needs somebody to act."""
    return waiting is not None and waiting.reason in HOPELESS
