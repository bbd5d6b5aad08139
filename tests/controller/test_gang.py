"""A gang of which some worker never started is made anew, as often as it takes, and no budget pays for it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Phase
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.seen import ClaimSeen, Refusal, Silence, Words
from peft_fsdp_operator.times import read_time, stamp
from tests.controller.builders import NOW, at, ended, failed, job, pod, running, seen, status, waiting

R = Reason
HALF_AN_HOUR = timedelta(minutes=30)
FULL = Words("Unschedulable", "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
SHARED = (ClaimSeen("models", "output.claim", ("ReadWriteMany",)),)
GONE = {"deleted_at": at(30), "grace_seconds": 30}


def lacking(worker=1, attempt=1):
    return pod(worker, attempt, node=None, unscheduled=FULL)


def begun(minutes=30.0, phase=Phase.STARTING, **fields):
    return status(phase, attempt_time=at(-60 * minutes), **fields)


def look(*pods, then=None, now=NOW, **facts):
    return decide(seen(*pods, then=then or begun(), **facts), now)


@pytest.mark.parametrize("reason", [R.RENDEZVOUS_FAILED, R.LOST_PEER, R.COLLECTIVE_TIMEOUT])
def test_workers_that_waited_in_vain_have_not_failed(reason):
    decision = look(failed(0, reason), lacking())
    failure = decision.status.last_failure
    assert (decision.status.phase, decision.reason) == (Phase.RESTARTING, R.GANG_INCOMPLETE)
    assert (failure.pod, failure.node, failure.exit_code) == ("tune-1-1", None, None)
    assert failure.message == (
        "worker 1 had not started after 30m: Unschedulable: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu; "
        "the others give their nodes back and the gang is made anew"
    )
    assert {one.name for one in decision.delete} == {"tune-1-0", "tune-1-1"}


def test_nothing_is_charged_nor_remembered_of_it():
    before = begun(restarts={"infrastructure": 10}, budgets={"infrastructure": {"since": at(-9000), "used": 10}})
    after = look(failed(0, R.RENDEZVOUS_FAILED), lacking(), then=before).status
    assert (after.phase, after.restarts, after.budgets) == (Phase.RESTARTING, before.restarts, before.budgets)
    assert (after.failures, after.avoided_nodes) == (None, None)


@pytest.mark.parametrize(
    ("pods", "minutes", "reason"),
    [
        ([failed(0, R.RENDEZVOUS_FAILED), running(1)], 30, R.RENDEZVOUS_FAILED),
        ([failed(0, R.RENDEZVOUS_FAILED), failed(1, R.LOST_PEER, 1)], 30, R.RENDEZVOUS_FAILED),
        ([failed(0, R.RENDEZVOUS_FAILED), lacking()], 1, R.RENDEZVOUS_FAILED),
        ([failed(0, R.APPLICATION_ERROR), lacking()], 30, R.APPLICATION_ERROR),
        ([failed(0, R.DATASET_INVALID), lacking()], 30, R.DATASET_INVALID),
        ([failed(0, R.RENDEZVOUS_FAILED), pod(1, deleted_at=at(9))], 30, R.POD_DELETED),
        ([failed(0, R.RENDEZVOUS_FAILED), ended(1, 1, "boom")], 30, R.APPLICATION_ERROR),
    ],
    ids=["all run", "all came", "a port that is taken", "error", "user error", "deleted", "the other failed"],
)
def test_other_ends_stay_what_they_are(pods, minutes, reason):
    assert look(*pods, then=begun(minutes)).status.last_failure.reason == reason


@pytest.mark.parametrize(
    ("late", "facts", "said"),
    [
        (waiting(1, "ImagePullBackOff", "Back-off pulling image"), {}, "worker 1 had not started after 30m: Image"),
        (pod(1), {}, "worker 1 had not started after 30m; the others"),
        (pod(1), {"pod_words": {"pod-1-1": Words("FailedMount", "no\nsecret")}}, ": FailedMount: no secret; the"),
        (pod(1), {"silent_nodes": {"node-1": Silence("NodeNotReady", "not ready")}}, ": NodeNotReady: node node-1 is"),
    ],
    ids=["the kubelet's words", "none", "those of an event", "the node's"],
)
def test_the_sentence_has_the_words_of_the_worker_that_is_missing(late, facts, said):
    assert said in look(failed(0, R.RENDEZVOUS_FAILED), late, **facts).status.last_failure.message


def test_several_missing_workers_are_counted_and_one_is_named():
    gang = (failed(0, R.RENDEZVOUS_FAILED), pod(1), lacking(2), lacking(3))
    failure = look(*gang, of=job(nodes=4)).status.last_failure
    assert failure.message.startswith("worker 2 and 2 more had not started after 30m: Unschedulable: ")


def test_a_pod_that_a_quota_refused_is_missing_too():
    refusal = Refusal(1, 1, "Forbidden", "exceeded quota", read_time(at(5)))
    decision = look(failed(0, R.RENDEZVOUS_FAILED), then=begun(phase=Phase.PENDING), refusal=refusal)
    failure = decision.status.last_failure
    assert (failure.reason, failure.pod, decision.from_absence) == (R.GANG_INCOMPLETE, None, True)
    assert "worker 1 had not started after 30m: Forbidden: exceeded quota" in failure.message


def test_a_worker_that_had_started_and_failed_after_all_is_the_cause():
    told = look(failed(0, R.LOST_PEER), lacking()).status
    late = look(failed(0, R.LOST_PEER, **GONE), failed(1, R.DATASET_INVALID, 1, **GONE), then=told).status
    assert (late.phase, late.last_failure.reason, late.waiting_since) == (Phase.FAILED, R.DATASET_INVALID, None)
    same = look(failed(0, R.LOST_PEER, **GONE), replace(lacking(), **GONE), then=told).status
    assert same.last_failure == told.last_failure


@pytest.mark.parametrize(("hours", "least"), [(0.5, 64), (1, 128), (2, 256), (500, 300)])
def test_gangs_that_stood_in_each_others_way_come_back_one_after_the_other(hours, least):
    def wait(uid):
        of = job()
        of = of.model_copy(update={"metadata": of.metadata.model_copy(update={"uid": uid})})
        then = begun(waiting_since=at(-3600 * hours))
        after = look(failed(0, R.RENDEZVOUS_FAILED), lacking(), of=of, then=then).status
        return (read_time(after.next_attempt_time) - NOW).total_seconds()

    waits = {wait(f"u{number}") for number in range(20)}
    assert least <= min(waits) <= max(waits) <= least * 1.2 + 1
    assert len(waits) > 8


def wait_for_weeks(rounds, of):
    """The status after so many gangs that were not complete, the time of it, and the phases on the way."""
    then, now = begun(0, Phase.STARTING), NOW
    for attempt in range(1, rounds + 1):
        now += HALF_AN_HOUR
        end = failed(0, R.RENDEZVOUS_FAILED, (now - NOW).total_seconds())
        first = replace(end, attempt=attempt, name=f"tune-{attempt}-0")
        then = decide(seen(first, lacking(attempt=attempt), of=of, then=then), now).status
        if then.phase is not Phase.RESTARTING:
            break
        now = read_time(then.next_attempt_time)
        then = decide(seen(of=of, then=then, claims=SHARED), now).status
    return then, now


def test_a_job_waits_for_weeks_and_starts_when_there_is_room():
    of = job()
    then, now = wait_for_weeks(1000, of)
    assert now - NOW > timedelta(weeks=3)
    assert (then.attempt, then.phase, then.waiting_since) == (1001, Phase.PENDING, at(0))
    assert (then.restarts.infrastructure, then.failures, then.budgets) == (0, None, None)
    runs = decide(seen(running(0, 1001), running(1, 1001), of=of, then=then), now).status
    assert (runs.phase, runs.waiting_since) == (Phase.RUNNING, None)


def test_only_the_start_deadline_ends_it_and_counts_from_the_first_of_the_attempts():
    of = job(startDeadline="2h")
    then, _ = wait_for_weeks(3, of)
    assert (then.attempt, then.waiting_since) == (4, at(0))
    gang = (running(0, 4), lacking(attempt=4))
    waits = decide(seen(*gang, of=of, then=then), NOW + timedelta(hours=2, seconds=-1))
    assert (waits.status.phase, waits.look_again) == (Phase.STARTING, NOW + timedelta(hours=2))
    late = decide(seen(*gang, of=of, then=then), NOW + timedelta(hours=2)).status
    assert (late.phase, late.last_failure.reason) == (Phase.FAILED, R.START_DEADLINE_EXCEEDED)
    assert late.last_failure.message.startswith("not all pods ran within startDeadline 2h: Unschedulable: 0/2 nodes")


def test_no_pod_is_made_in_vain_where_the_deadline_passes_between_two_attempts():
    of = job(startDeadline="31m")
    between = look(failed(0, R.RENDEZVOUS_FAILED), lacking(), of=of).status
    waits = look(then=between, of=of, claims=SHARED)
    assert (waits.status.phase, waits.look_again) == (Phase.RESTARTING, NOW + timedelta(minutes=1))
    over = look(then=between, of=of, now=NOW + timedelta(minutes=1), claims=SHARED)
    assert (over.status.phase, over.create) == (Phase.FAILED, ())
    assert "within startDeadline 31m: GangIncomplete: worker 1 had not started" in over.status.last_failure.message
    rests = look(then=between, of=job(startDeadline="31m", suspend=True), now=NOW + timedelta(hours=1))
    assert (rests.status.phase, rests.status.waiting_since) == (Phase.SUSPENDED, None)


def test_the_deadline_begins_anew_after_a_real_failure():
    before = begun(30, waiting_since=at(-9000))
    after = look(failed(0, R.APPLICATION_ERROR), lacking(), then=before).status
    assert (after.phase, after.waiting_since) == (Phase.RESTARTING, None)
    again = look(then=replace_time(after), claims=SHARED, of=job(startDeadline="1h")).status
    assert (again.phase, again.attempt_time) == (Phase.PENDING, stamp(NOW))


def replace_time(then):
    return then.model_copy(update={"next_attempt_time": None})
