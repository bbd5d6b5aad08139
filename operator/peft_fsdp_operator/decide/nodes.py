"""Nodes that do not answer: what is said of them, and when they are given up. Called by the rules.

A node that is gone or fenced is given up at once, one that is only silent after `spec.nodeLostTimeout`. Its pods may
still run then, cut off; what they could do to the output is refused there, by the number of their attempt.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from peft_fsdp_api.durations import parse_duration
from peft_fsdp_api.status import Waiting

from ..seen import Observed, PodSeen, Silence
from ..times import read_time, stamp


def lost_nodes(seen: Observed, now: datetime) -> dict[str, str]:
    """Nodes on whose pods nobody waits any more, each with one sentence that says why."""
    lost = {}
    for node, silence in seen.silent_nodes.items():
        moment = _given_up_at(silence, seen)
        if silence.is_fenced:
            lost[node] = f"node {node} is {silence.message}"
        elif moment is not None and moment <= now:
            timeout = seen.job.spec.node_lost_timeout
            lost[node] = f"node {node} is {silence.message}; that is longer than nodeLostTimeout {timeout}"
    return lost


def silent_nodes(seen: Observed) -> dict[str, str]:
    """All nodes that do not answer, given up or not, with one sentence each."""
    return {node: f"node {node} is {silence.message}" for node, silence in seen.silent_nodes.items()}


def next_loss(seen: Observed, now: datetime) -> datetime | None:
    """The moment at which the next silent node is given up."""
    moments = [_given_up_at(silence, seen) for silence in seen.silent_nodes.values()]
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


def find_silent(pods: Iterable[PodSeen], seen: Observed) -> Waiting | None:
    """The first worker whose node does not answer, and what will be done about it."""
    for pod in sorted(pods, key=lambda one: one.worker):
        silence = seen.silent_nodes.get(pod.node or "")
        if silence is not None and not pod.has_ended:
            message = f"node {pod.node} is {silence.message}{_prospect(silence, seen)}"
            return Waiting(worker=pod.worker, reason=silence.reason, message=message)
    return None


def on_lost(pods: Iterable[PodSeen], lost: Mapping[str, str]) -> tuple[PodSeen, ...]:
    """Pods that are to be removed without their node."""
    return tuple(pod for pod in pods if pod.node in lost and not pod.is_forced)


def _given_up_at(silence: Silence, seen: Observed) -> datetime | None:
    timeout = parse_duration(seen.job.spec.node_lost_timeout)
    if silence.since is None or timeout == timedelta():
        return None
    return read_time(silence.since) + timeout


def _prospect(silence: Silence, seen: Observed) -> str:
    if silence.is_fenced:
        return ""
    moment = _given_up_at(silence, seen)
    if moment is None:
        return "; its pods are waited for until it answers, is removed, or is tainted as out of service"
    return f"; its pods are given up at {stamp(moment)} (nodeLostTimeout {seen.job.spec.node_lost_timeout})"
