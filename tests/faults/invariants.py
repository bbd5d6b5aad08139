"""What must hold in the story of every job, whatever happened to the operator and its requests.

Each check takes the writes of one job in the order of the API server's resource versions and tells what breaks it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from peft_fsdp_api import names
from tests.faults.trail import Write

STATUS = f"{names.PLURAL}/status"
TERMINAL = ("Succeeded", "Failed")
STOPPED = ("Restarting", "Suspending", "Suspended")
ORPHAN_LIFE = timedelta(seconds=60)
"""For which a pod may live that came late: the operator may be killed, refused and told to wait meanwhile, on a machine
that is busy with others."""
BUDGETS = {"application": 3, "infrastructure": 10, "preemption": 100}


def complaints(story: Sequence[Write], lost_nodes: Mapping[str, str], late: Collection[str] = ()) -> list[str]:
    """Everything that is wrong in one job's story. `late` are the uids of pods that a request made which was on its
    way for long: no operator can prevent that, but it must remove them at once."""
    late = {*late, *overtaken(story)}
    return [
        *two_attempts(story, lost_nodes, late),
        *too_many_restarts(story),
        *left_terminal_phase(story, late),
        *orphans_that_stayed(story, late),
        *generation_went_back(story),
        *writes_without_change(story),
    ]


def overtaken(story: Sequence[Write]) -> set[str]:
    """Pods that the API server was asked for before it was told what makes them too late, and that it made after."""
    told: list[Write] = []
    found = set()
    for write in story:
        if write.resource == STATUS:
            told.append(write)
        elif _makes_pod(write) and any(write.time < one.time and _is_orphan(write, one) for one in told):
            found.add(write.uid)
    return found


def two_attempts(story: Sequence[Write], lost_nodes: Mapping[str, str], late: Collection[str] = ()) -> Iterator[str]:
    """No pod is made while one of another attempt exists, unless that was told to stop and its node is no more."""
    there: dict[str, Write] = {}
    for write in (write for write in story if write.resource.split("/")[0] == "pods"):
        if _makes_pod(write) and write.uid not in late:
            for other in there.values():
                excused = other.uid in late or _is_fenced(other, write, lost_nodes)
                if _attempt(other) != _attempt(write) and not excused:
                    yield f"pod {write.name} was made at {write.time} while {other.name} was there"
        if write.is_gone:
            there.pop(write.uid, None)
        else:
            there[write.uid] = write


def too_many_restarts(story: Sequence[Write]) -> Iterator[str]:
    """Attempts are announced one by one, each paid for by a budget or a resume, before their pods are made."""
    announced, resumes = 0, 0
    before: dict[str, Any] = {}
    for write in story:
        if _makes_pod(write) and _attempt(write) > announced:
            yield f"pod {write.name} was made before attempt {_attempt(write)} was announced"
        if write.resource != STATUS:
            continue
        status = write.content.get("status") or {}
        paid = status.get("restarts") or {}
        resumes += (before.get("phase"), status.get("phase")) == ("Suspended", "Pending")
        announced, last = status.get("attempt", 0), announced
        if announced not in (last, last + 1):
            yield f"attempt {last} was followed by attempt {announced}"
        if announced > 1 + sum(paid.values()) + resumes:
            yield f"attempt {announced} was announced after {sum(paid.values())} restarts and {resumes} resumes"
        if sum(paid.values()) > sum((before.get("restarts") or {}).values()) + 1:
            yield f"more than one restart was charged at once: {before.get('restarts')} became {paid}"
        yield from _over_budget(write, paid)
        before = status


def left_terminal_phase(story: Sequence[Write], late: Collection[str] = ()) -> Iterator[str]:
    ended = ""
    for write in story:
        if ended and _makes_pod(write) and write.uid not in late:
            yield f"pod {write.name} was made after the job had ended as {ended}"
        if write.resource == STATUS:
            phase = (write.content.get("status") or {}).get("phase") or ""
            if ended and phase != ended:
                yield f"the terminal phase {ended} became {phase}"
            ended = phase if phase in TERMINAL else ended


def orphans_that_stayed(story: Sequence[Write], late: Collection[str]) -> Iterator[str]:
    """Pods that came after the end of their attempt and were not told to stop soon, or gone with their job."""
    told: Write | None = None
    for write in story:
        told = write if write.resource == STATUS else told
        if not _makes_pod(write) or write.uid not in late or told is None or not _is_orphan(write, told):
            continue
        ends = [one for one in story if one.verb == "delete" and (one.uid == write.uid or one.resource == names.PLURAL)]
        if not any(_moment(one) - _moment(write) < ORPHAN_LIFE for one in ends):
            yield f"pod {write.name} came late, at {write.time}, and was left alone"


def generation_went_back(story: Sequence[Write]) -> Iterator[str]:
    written = [write for write in story if write.resource == STATUS]
    seen = [(write.content.get("status") or {}).get("observedGeneration") or 0 for write in written]
    for old, new in pairwise(seen):
        if new < old:
            yield f"observedGeneration {old} became {new}"
    for write, generation in zip(written, seen, strict=True):
        if generation > write.content["metadata"]["generation"]:
            yield f"observedGeneration {generation} is none that the job ever had"


def writes_without_change(story: Sequence[Write]) -> Iterator[str]:
    """Of the operator: each patch leaves a version that was not there before. Deletes have a check of their own."""
    versions: dict[str, int] = {}
    for write in story:
        if write.by_operator and write.verb == "patch" and write.version in (versions.get(write.uid), write.before):
            yield f"{write.verb} {write.resource} {write.name} at {write.time} changed nothing"
        versions[write.uid] = write.version


def asked_twice(story: Sequence[Write]) -> list[str]:
    """Pods that the operator asked to stop more than once; allowed only where it did not hear the answer."""
    deletes = [write for write in story if write.by_operator and write.verb == "delete"]
    names_ = [write.name for write in deletes if write.resource == "pods"]
    return sorted({name for name in names_ if names_.count(name) > 1})


def made_twice(story: Sequence[Write]) -> list[str]:
    """Names of pods that were made more than once; allowed only where somebody else deletes pods as they are made."""
    made = [write.name for write in story if write.verb == "create" and write.resource == "pods"]
    return sorted({name for name in made if made.count(name) > 1})


def _makes_pod(write: Write) -> bool:
    return write.verb == "create" and write.resource == "pods"


def _is_orphan(pod: Write, told: Write) -> bool:
    """Whether this status leaves no room for the pod."""
    status = told.content.get("status") or {}
    return status.get("phase") in (*TERMINAL, *STOPPED) or status.get("attempt", 0) > _attempt(pod)


def _moment(write: Write) -> datetime:
    return datetime.fromisoformat(write.time)


def _attempt(pod: Write) -> int:
    return int(pod.content["metadata"]["labels"][names.LABEL_ATTEMPT])


def _is_fenced(pod: Write, later: Write, lost_nodes: Mapping[str, str]) -> bool:
    node = (pod.content.get("spec") or {}).get("nodeName") or ""
    stopping = "deletionTimestamp" in pod.content["metadata"]
    return stopping and node in lost_nodes and lost_nodes[node] < later.time


def _over_budget(write: Write, paid: Mapping[str, int]) -> Iterator[str]:
    limits = (write.content.get("spec") or {}).get("restart") or {}
    for budget, used in paid.items():
        limit = (limits.get(budget) or {}).get("limit", BUDGETS[budget])
        if used > limit:
            yield f"{used} restarts were charged to {budget}, which allows {limit}"
