"""A gang of which some worker never started: the others waited for it in vain. Called by `running`.

Their launchers end after half an hour, which gives their nodes back. That is no error of anything, it may have to
happen a hundred times before the cluster has room for all workers at once, and what the user wants to know is what the
worker waits for that is not there.
"""

from datetime import timedelta
from typing import Final

from peft_fsdp_api import names
from peft_fsdp_api.durations import format_duration
from peft_fsdp_api.reasons import REASONS, Reason
from peft_fsdp_api.status import Failure, JobStatus, Waiting

from ..seen import Observed, PodSeen
from ..times import read_time
from .phases import current_pods
from .waiting import find_obstacle

IN_VAIN: Final = frozenset({Reason.RENDEZVOUS_FAILED, Reason.LOST_PEER, Reason.COLLECTIVE_TIMEOUT})
"""How workers end that waited for others: by themselves, or after one that ended like that."""
PATIENCE: Final = timedelta(seconds=names.RENDEZVOUS_SECONDS) - timedelta(minutes=5)
"""Who ends sooner did not end because nobody came (a port that is taken says RendezvousFailed in the first second). The
five minutes are for the clocks of nodes."""
MINUTE: Final = timedelta(minutes=1)


def find_incomplete(failure: Failure, seen: Observed, status: JobStatus) -> Failure | None:
    """What to say in place of `failure`, the cause of an attempt's end, where that came from waiting for workers that
    never started; None where it did not."""
    if failure.reason not in IN_VAIN or failure.time is None or status.attempt_time is None:
        return None
    waited = read_time(failure.time) - read_time(status.attempt_time)
    absent = _not_started(seen, status)
    if waited < PATIENCE or not absent:
        return None
    waiting = find_obstacle([pod for pod in absent.values() if pod is not None], seen, status)
    worker = next((one for one in absent if waiting is not None and one == waiting.worker), min(absent))
    pod = absent[worker]
    return Failure(
        attempt=status.attempt,
        pod=pod.name if pod else None,
        node=pod.node if pod else None,
        reason=Reason.GANG_INCOMPLETE,
        message=_sentence(worker, len(absent) - 1, waited, waiting),
        hint=REASONS[Reason.GANG_INCOMPLETE].hint,
        time=failure.time,
    )


def _not_started(seen: Observed, status: JobStatus) -> dict[int, PodSeen | None]:
    """Workers whose trainer has neither started nor ended, with their pods; None where the API server refused one."""
    pods = {pod.worker: pod for pod in [*seen.departed, *current_pods(seen, status)]}
    found = {worker: pods.get(worker) for worker in range(seen.job.spec.workers.nodes)}
    return {worker: pod for worker, pod in found.items() if pod is None or not (pod.has_started or pod.has_ended)}


def _sentence(worker: int, others: int, waited: timedelta, waiting: Waiting | None) -> str:
    """On one line, because the last line of a failure is what is shown in short."""
    who = f"worker {worker}" + (f" and {others} more" if others else "")
    why = f": {waiting.reason}: {' '.join(waiting.message.split()).rstrip('.')}" if waiting is not None else ""
    after = format_duration(waited // MINUTE * MINUTE)
    return f"{who} had not started after {after}{why}; the others give their nodes back and the gang is made anew"
