"""The life of one attempt, from its first pod to its end. Called by `rules`."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from peft_fsdp_api.durations import parse_duration
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import JobStatus, Phase, Waiting

from ..decision import CREATING_PODS, STARTING_PODS, Decision, Notice, Shared
from ..seen import Observed, PodSeen, Refusal
from ..times import read_time, seconds_between, stamp
from .cause import Nodes, find_cause
from .claims import find_problem
from .gang import find_incomplete
from .nodes import find_silent, lost_nodes, silent_nodes
from .phases import ACTIVE, begin_attempt, changed, count, current_pods, end_attempt, fail, own_failure
from .waiting import current_refusal, find_obstacle, find_waiting, is_hopeless

CLAIM_PATIENCE: Final = timedelta(seconds=10)
"""People apply a job and its claim in one go, in any order."""
CLAIM_INTERVAL: Final = timedelta(seconds=1)


def when_beginning(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """The first attempt, the next one, or the one after a rest."""
    if status.phase in ACTIVE and status.attempt > 0:
        return None
    begun = begin_attempt(status, now)
    decision = _create_missing(seen, begun, now)
    avoids = f", on other nodes than {', '.join(begun.avoided_nodes)} where possible" if begun.avoided_nodes else ""
    said = f"attempt {begun.attempt} with {seen.job.spec.workers.nodes} pods{avoids}"
    notice = Notice("Normal", "AttemptStarted", said)
    return replace(decision, notice=decision.notice or notice, from_absence=status.attempt > 0)


def when_failed(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """Any worker's end ends the attempt. While pods are still being made, a missing one is not a failure."""
    pods = current_pods(seen, status)
    there = {pod.worker for pod in pods}
    workers = range(seen.job.spec.workers.nodes)
    missing = [worker for worker in workers if worker not in there] if status.phase is not Phase.PENDING else []
    lost = {worker: f"{seen.job.name}-{status.attempt}-{worker}" for worker in missing}
    nodes = Nodes(lost_nodes(seen, now), silent_nodes(seen))
    failure = find_cause(status.attempt, [*pods, *seen.departed], lost, now, nodes)
    if failure is None:
        return None
    incomplete = find_incomplete(failure, seen, status)
    absent = bool(missing) or (incomplete is not None and len(there) < len(workers))
    return end_attempt(seen, status, incomplete or failure, now, absent)


def when_late(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """Deadlines: of the start of this attempt, and of all running time together."""
    deadline = next_deadline(seen, status)
    if deadline is None or now < deadline:
        return None
    spec = seen.job.spec
    if status.running_since is None:
        waiting = find_obstacle(current_pods(seen, status), seen, status)
        why = waiting or (status.last_failure if status.waiting_since else None)
        words = f": {why.reason}: {why.message}" if why else ""
        said = f"not all pods ran within startDeadline {spec.start_deadline}{words}"
        reason = Reason.START_DEADLINE_EXCEEDED
    else:
        active = status.active_seconds + seconds_between(status.running_since, now)
        said = f"the pods ran for {active} s, and activeDeadline is {spec.active_deadline}"
        reason = Reason.ACTIVE_DEADLINE_EXCEEDED
    return fail(seen, status, own_failure(reason, status.attempt, said, now), "", now)


def when_late_between_attempts(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """A gang that is made anew because it was not complete is still starting: no pod is made for it in vain."""
    return when_late(seen, status, now) if status.phase is Phase.RESTARTING else None


def next_deadline(seen: Observed, status: JobStatus) -> datetime | None:
    """The moment at which time alone ends the job: the start's while pods start, the run's while all run."""
    spec = seen.job.spec
    starts_anew = status.phase is Phase.RESTARTING and status.waiting_since is not None and not spec.suspend
    if status.phase not in ACTIVE and not starts_anew:
        return None
    if status.running_since is not None:
        if spec.active_deadline is None:
            return None
        left = parse_duration(spec.active_deadline) - timedelta(seconds=status.active_seconds)
        return read_time(status.running_since) + left
    since = status.waiting_since or status.attempt_time
    if spec.start_deadline is None or since is None:
        return None
    return read_time(since) + parse_duration(spec.start_deadline)


def carry_on(seen: Observed, status: JobStatus, now: datetime) -> Decision:
    """An attempt under way: make what is missing, or say how far it is."""
    pods = current_pods(seen, status)
    if status.phase is Phase.PENDING and len({pod.worker for pod in pods}) < seen.job.spec.workers.nodes:
        return _create_missing(seen, status, now)
    all_run = all(pod.has_started for pod in pods)
    refusal = current_refusal(seen, status)
    silent = find_silent(pods, seen)
    waiting = silent or find_waiting(pods, refusal, seen.pod_words)
    phase = Phase.RUNNING if all_run else Phase.STARTING
    moved = changed(
        _with_report(seen, status),
        phase=phase,
        running_since=status.running_since or (stamp(now) if all_run else None),
        waiting_since=None if all_run else status.waiting_since,
        waiting=waiting,
        workers=count(seen, status),
    )
    reason, message = _headline(moved)
    return Decision(
        moved,
        reason,
        message,
        delete=_of_older_attempts(seen, status),
        shared=Shared.LEAVE if _rests(refusal, now) else Shared.ENSURE,
        look_again=refusal.retry_at if refusal else None,
        notice=_notice(status, moved),
        is_stuck=is_hopeless(waiting),
        is_doubtful=silent is not None,
    )


def _create_missing(seen: Observed, status: JobStatus, now: datetime) -> Decision:
    """Pods are made all together, once the claims they mount are known to serve them."""
    nodes = seen.job.spec.workers.nodes
    problem = find_problem(seen.claims, nodes, seen.job.metadata.namespace)
    if problem is not None:
        patience = read_time(status.attempt_time) + CLAIM_PATIENCE if status.attempt_time else now
        if not problem.may_pass or now >= patience:
            return fail(seen, status, own_failure(problem.reason, status.attempt, problem.message, now), "", now)
        waiting = Waiting(reason=problem.reason, message=problem.message)
        waits = changed(status, waiting=waiting, workers=count(seen, status))
        return Decision(waits, problem.reason, problem.message, look_again=now + CLAIM_INTERVAL)
    pods = current_pods(seen, status)
    there = {pod.worker for pod in pods}
    missing = tuple(worker for worker in range(nodes) if worker not in there)
    refusal = current_refusal(seen, status)
    old = _of_older_attempts(seen, status)
    held = bool(old) or _rests(refusal, now)
    asks = changed(status, waiting=find_waiting(pods, refusal, seen.pod_words), workers=count(seen, status))
    return Decision(
        asks,
        asks.waiting.reason if asks.waiting else CREATING_PODS,
        asks.waiting.message if asks.waiting else f"attempt {status.attempt}: its {nodes} pods are being made",
        create=() if held else _to_try(missing, refusal),
        delete=old,
        shared=Shared.LEAVE if held else Shared.ENSURE,
        look_again=refusal.retry_at if held and refusal else None,
        is_stuck=is_hopeless(asks.waiting),
        notice=_notice(seen.status, asks),
    )


def _of_older_attempts(seen: Observed, status: JobStatus) -> tuple[PodSeen, ...]:
    """Pods that run and should not: the request that made them came late to the API server, after their attempt had
    ended. They are told to stop before any pod of this attempt is made."""
    return tuple(pod for pod in seen.pods if pod.attempt < status.attempt and not pod.is_stopping)


def _to_try(missing: tuple[int, ...], refusal: Refusal | None) -> tuple[int, ...]:
    """All pods together, or while pods are refused one: where it gets through, the others follow at once."""
    return missing[:1] if refusal is not None and refusal.worker is not None else missing


def _rests(refusal: Refusal | None, now: datetime) -> bool:
    """Whether it is too early to ask again for what was refused."""
    return refusal is not None and now < refusal.retry_at


def _with_report(seen: Observed, status: JobStatus) -> JobStatus:
    report = seen.report
    if report is None or report.attempt != status.attempt:
        return status
    return changed(
        status, progress=report.progress or status.progress, checkpoint=report.checkpoint or status.checkpoint
    )


def _headline(status: JobStatus) -> tuple[str, str]:
    workers = status.workers
    assert workers is not None
    if status.waiting is not None:
        worker = "" if status.waiting.worker is None else f"worker {status.waiting.worker}: "
        return status.waiting.reason, worker + status.waiting.message
    if status.phase is Phase.RUNNING:
        return "Running", f"attempt {status.attempt}: all {workers.desired} pods run"
    return STARTING_PODS, f"attempt {status.attempt}: {workers.running} of {workers.desired} pods run"


def _notice(before: JobStatus, after: JobStatus) -> Notice | None:
    """Events at transitions only: all pods run, a new reason to wait, or the end of one while all run."""
    told = before.waiting.reason if before.waiting else None
    if after.phase is Phase.RUNNING and before.phase is not Phase.RUNNING:
        return Notice("Normal", "Running", f"attempt {after.attempt}: all pods run")
    if after.phase is Phase.RUNNING and after.waiting is None and told is not None:
        return Notice("Normal", "Running", f"attempt {after.attempt}: all pods run; {told} is over")
    if after.waiting is not None and after.waiting.reason != told:
        return Notice("Warning", after.waiting.reason, after.waiting.message)
    return None
