"""What follows from what is seen: one rule a test."""

from dataclasses import replace
from datetime import timedelta

import pytest

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.progress import TrainingProgress
from peft_fsdp_api.reasons import REASONS, Reason
from peft_fsdp_api.status import CheckpointStatus, Phase
from peft_fsdp_operator.decide import decide, with_gpu_time
from peft_fsdp_operator.decision import Shared
from peft_fsdp_operator.observe import NODE_GONE
from peft_fsdp_operator.seen import ClaimSeen, Refusal, Words
from peft_fsdp_operator.status_writes import seconds_to_wait
from peft_fsdp_operator.times import read_time
from tests.controller.builders import NOW, at, ended, failed, job, pod, running, seen, status, waiting

NEW = status(None, attempt=0)
SHARED = (ClaimSeen("models", "output.claim", ("ReadWriteMany",)),)


def look(*pods, **facts):
    return decide(seen(*pods, **facts), NOW)


def test_a_new_job_gets_its_first_attempt_with_all_pods_at_once():
    decision = look(then=NEW, claims=SHARED)
    assert (decision.status.phase, decision.status.attempt) == (Phase.PENDING, 1)
    assert (decision.create, decision.shared) == ((0, 1), Shared.ENSURE)
    assert decision.status.start_time == at(0)


def test_a_job_that_was_invalid_before_begins_once_it_is_corrected():
    decision = look(then=status(Phase.PENDING, attempt=0), claims=SHARED)
    assert (decision.status.attempt, decision.create) == (1, (0, 1))


def test_missing_pods_of_a_pending_attempt_are_made_not_mourned():
    decision = look(pod(0), then=status(Phase.PENDING))
    assert (decision.status.phase, decision.create) == (Phase.PENDING, (1,))


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RUNNING])
def test_a_missing_pod_of_a_complete_gang_ends_the_attempt(phase):
    decision = look(running(0), then=status(phase))
    assert decision.status.phase is Phase.RESTARTING
    assert decision.status.last_failure.reason == Reason.POD_DELETED
    assert decision.from_absence
    assert [one.name for one in decision.delete] == ["tune-1-0"]


def test_all_pods_there_is_starting_and_all_trainers_running_is_running():
    assert look(running(0), pod(1), then=status(Phase.PENDING)).status.phase is Phase.STARTING
    decision = look(running(0), running(1), then=status(Phase.STARTING))
    assert (decision.status.phase, decision.status.running_since) == (Phase.RUNNING, at(0))


def test_a_failure_stops_the_whole_gang_at_once():
    decision = look(failed(0, Reason.LOST_PEER), running(1))
    assert {one.name for one in decision.delete} == {"tune-1-0", "tune-1-1"}
    assert decision.status.restarts.infrastructure == 1
    assert decision.status.next_attempt_time is None


def test_an_application_error_waits_and_waits_longer_the_next_time():
    first = look(failed(0, Reason.APPLICATION_ERROR), running(1))
    assert first.status.next_attempt_time == at(1)
    third = look(
        failed(0, Reason.APPLICATION_ERROR),
        running(1),
        then=status(restarts={"application": 2}),
    )
    assert 4 <= (read_time(third.status.next_attempt_time) - NOW).total_seconds() <= 6


def test_a_user_error_and_an_empty_budget_end_the_job():
    user = look(failed(0, Reason.DATASET_INVALID), running(1))
    spent = look(failed(0, Reason.APPLICATION_ERROR), running(1), then=status(restarts={"application": 3}))
    assert user.status.phase is spent.status.phase is Phase.FAILED
    assert "restart.application.limit 3 is used up" in spent.message


def test_the_end_of_a_job_stops_what_still_runs_in_the_same_pass():
    failing = look(failed(0, Reason.DATASET_INVALID), running(1))
    assert [one.name for one in failing.delete] == ["tune-1-1"]
    late = look(running(0), running(1), of=job(activeDeadline="1s"))
    assert {one.name for one in late.delete} == {"tune-1-0", "tune-1-1"}
    with_sidecar = replace(ended(1), phase="Running", others_running=True)
    assert [one.name for one in look(ended(0), with_sidecar).delete] == ["tune-1-1"]


def test_time_and_gpu_time_of_an_attempt_are_added_up_at_its_end():
    decision = look(failed(0, Reason.LOST_PEER), running(1), then=status(active_seconds=40))
    assert decision.status.active_seconds == 100
    assert decision.status.gpu_seconds == 100 * 16
    assert decision.status.running_since is None


def test_gpu_time_of_a_running_attempt_is_in_what_is_written_and_no_reason_to_write():
    runs = look(running(0), running(1), then=status(active_seconds=40)).status
    written = with_gpu_time(runs, job(), NOW)
    assert written.gpu_seconds == (40 + 60) * 16
    later = NOW + timedelta(seconds=10)
    again = decide(seen(running(0), running(1), then=written), later).status
    assert again == written
    assert with_gpu_time(again, job(), later).gpu_seconds == written.gpu_seconds + 10 * 16
    stopped = decide(seen(running(0), running(1), of=job(suspend=True), then=again), later).status
    assert (stopped.gpu_seconds, stopped.active_seconds) == (110 * 16, 110)
    assert with_gpu_time(stopped, job(), later + timedelta(hours=1)) == stopped
    assert with_gpu_time(runs, job(gpus=0), NOW).gpu_seconds is None


def test_nothing_begins_before_the_last_old_pod_is_gone():
    stopping = running(0, deleted_at=at(60))
    decision = look(stopping, then=status(Phase.RESTARTING))
    assert (decision.create, decision.status.attempt) == ((), 1)
    fenced = look(stopping, then=status(Phase.RESTARTING), silent_nodes={"node-0": NODE_GONE})
    assert (fenced.create, fenced.status.attempt) == ((0, 1), 2)
    assert look(then=status(Phase.RESTARTING)).status.attempt == 2


def test_a_pod_that_does_not_stop_is_told():
    decision = look(running(0, deleted_at=at(-6)), then=status(Phase.RESTARTING))
    assert decision.status.waiting.reason == "Terminating"
    assert "node-0" in decision.status.waiting.message


def test_a_pod_that_is_about_to_be_gone_is_not_worth_a_word():
    decision = look(running(0, deleted_at=at(-5)), then=status(Phase.RESTARTING))
    assert decision.status.waiting is None


def test_back_off_holds_the_next_attempt():
    decision = look(then=status(Phase.RESTARTING, next_attempt_time=at(3)))
    assert (decision.create, decision.look_again) == ((), read_time(at(3)))


def test_completion_is_judged_on_the_trainer():
    decision = look(ended(0), ended(1, others_running=True))
    assert decision.status.phase is Phase.SUCCEEDED
    after = look(ended(0), replace(ended(1), phase="Running", others_running=True), then=decision.status)
    assert [one.name for one in after.delete] == ["tune-1-1"]


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
@pytest.mark.parametrize("pods", [(), (failed(0, Reason.LOST_PEER),), (running(0), running(1))])
def test_a_terminal_phase_is_never_left(phase, pods):
    decision = look(*pods, then=status(phase, completion_time=at(-10)))
    assert (decision.status.phase, decision.create) == (phase, ())


def test_cleanup_and_time_to_live():
    done = status(Phase.SUCCEEDED, completion_time=at(-10))
    assert look(ended(0), ended(1), then=done).delete == ()
    assert len(look(ended(0), ended(1), of=job(cleanup="delete"), then=done).delete) == 2
    waits = look(ended(0), of=job(ttlAfterFinished="1m"), then=done)
    assert (waits.delete, waits.look_again) == ((), read_time(at(50)))
    gone = look(ended(0), of=job(ttlAfterFinished="10s"), then=done)
    assert (len(gone.delete), gone.shared) == (1, Shared.REMOVE)


def test_suspend_stops_rests_and_resumes_without_charge():
    stops = look(running(0), running(1), of=job(suspend=True))
    assert (stops.status.phase, len(stops.delete)) == (Phase.SUSPENDING, 2)
    rests = look(of=job(suspend=True), then=stops.status)
    assert rests.status.phase is Phase.SUSPENDED
    resumed = look(then=rests.status)
    assert (resumed.status.attempt, resumed.status.restarts, resumed.create) == (2, stops.status.restarts, (0, 1))


def test_resuming_while_pods_still_stop_is_no_failure():
    stopping = running(0, deleted_at=at(60))
    decision = look(stopping, then=status(Phase.SUSPENDING))
    assert (decision.status.phase, decision.status.last_failure) == (Phase.SUSPENDING, None)


def test_a_lost_status_takes_the_attempt_from_the_pods():
    decision = look(pod(0, 4), pod(1, 4), then=NEW)
    assert (decision.status.attempt, decision.create) == (4, ())


def test_pods_of_an_older_attempt_are_removed():
    decision = look(running(0, 2), running(1, 2), running(0, 1), then=status(attempt=2))
    assert [one.name for one in decision.delete] == ["tune-1-0"]


def test_a_pod_of_an_older_attempt_that_came_late_is_stopped_before_any_new_one_is_made():
    decision = look(pod(0, 1), then=status(Phase.PENDING, attempt=2))
    assert ([one.name for one in decision.delete], decision.create) == (["tune-1-0"], ())
    decision = look(pod(0, 1, deleted_at=at(30)), then=status(Phase.PENDING, attempt=2))
    assert (decision.delete, decision.create) == ((), (0, 1))


def test_a_pod_that_came_late_during_a_rest_is_gone_before_the_job_goes_on():
    decision = look(pod(0, 1), then=status(Phase.SUSPENDED))
    assert ([one.name for one in decision.delete], decision.status.attempt) == (["tune-1-0"], 1)
    assert look(pod(0, 1, deleted_at=at(30)), then=status(Phase.SUSPENDED)).status.attempt == 1
    assert look(then=status(Phase.SUSPENDED)).status.attempt == 2
    rests = look(pod(0, 1), of=job(suspend=True), then=status(Phase.SUSPENDED))
    assert ([one.name for one in rests.delete], rests.status.phase) == (["tune-1-0"], Phase.SUSPENDED)


def test_deadlines_end_the_job_with_what_it_waited_for():
    late = look(waiting(0, "ImagePullBackOff"), pod(1), of=job(startDeadline="1m"), then=status(Phase.STARTING))
    assert late.status.last_failure.reason == Reason.START_DEADLINE_EXCEEDED
    assert "ImagePullBackOff" in late.status.last_failure.message
    long = look(running(0), running(1), of=job(activeDeadline="1m30s"), then=status(active_seconds=30))
    assert long.status.last_failure.reason == Reason.ACTIVE_DEADLINE_EXCEEDED


def test_a_deadline_ahead_wakes_the_operator():
    decision = look(running(0), running(1), of=job(activeDeadline="2m"), then=status(active_seconds=30))
    assert decision.look_again == read_time(at(30))


@pytest.mark.parametrize(
    ("claim", "age", "phase", "creates"),
    [
        (None, -5, Phase.PENDING, 0),
        (None, -10, Phase.FAILED, 0),
        (("ReadWriteOnce",), 0, Phase.FAILED, 0),
        (("ReadWriteOnce", "ReadWriteMany"), 0, Phase.PENDING, 2),
    ],
)
def test_claims_are_checked_before_pods_are_made(claim, age, phase, creates):
    claims = (ClaimSeen("models", "output.claim", claim),)
    decision = look(then=status(Phase.PENDING, attempt_time=at(age)), claims=claims)
    assert (decision.status.phase, len(decision.create)) == (phase, creates)


@pytest.mark.parametrize(
    ("field", "modes", "nodes", "reason"),
    [
        ("output.claim", ("ReadOnlyMany",), 1, Reason.CLAIM_NOT_WRITABLE),
        ("cache.claim", ("ReadOnlyMany",), 2, Reason.CLAIM_NOT_WRITABLE),
        ("output.claim", ("ReadWriteOnce", "ReadOnlyMany"), 2, Reason.CLAIM_NOT_SHARED),
        ("output.claim", ("ReadWriteOnce", "ReadOnlyMany"), 1, None),
        ("output.claim", ("ReadWriteOncePod",), 1, None),
        ("workers.volumes[0]", ("ReadOnlyMany",), 2, None),
        ("workers.volumes[0]", ("ReadWriteOnce",), 2, Reason.CLAIM_NOT_SHARED),
    ],
)
def test_what_a_job_writes_to_can_be_written_by_all_its_nodes(field, modes, nodes, reason):
    decision = look(then=NEW, of=job(nodes=nodes), claims=(ClaimSeen("data", field, modes),))
    assert (decision.status.last_failure.reason if decision.status.last_failure else None) == reason
    assert len(decision.create) == (0 if reason else nodes)


def test_a_claim_that_cannot_be_written_is_named_with_its_mode():
    claims = (ClaimSeen("models", "output.claim", ("ReadOnlyMany",)),)
    failure = look(of=job(nodes=1), then=NEW, claims=claims).status.last_failure
    assert failure.message == 'spec.output.claim names the claim "models" (ReadOnlyMany), which no pod can write to'


def test_one_node_may_use_a_claim_for_one_node():
    claims = (ClaimSeen("models", "output.claim", ("ReadWriteOnce",)),)
    assert look(of=job(nodes=1), then=NEW, claims=claims).create == (0,)


def test_a_refusal_is_shown_and_tried_again_in_its_time():
    refusal = Refusal(1, 1, "Forbidden", "exceeded quota", read_time(at(5)))
    held = look(pod(0), then=status(Phase.PENDING), refusal=refusal)
    assert (held.create, held.status.waiting.reason, held.look_again) == ((), "Forbidden", refusal.retry_at)
    due = look(pod(0), of=job(nodes=4), then=status(Phase.PENDING), refusal=replace(refusal, retry_at=NOW))
    assert (due.create, due.shared) == ((1,), Shared.ENSURE)
    shared_alone = replace(refusal, worker=None, retry_at=NOW)
    assert look(pod(0), of=job(nodes=4), then=status(Phase.PENDING), refusal=shared_alone).create == (1, 2, 3)
    old = look(pod(0), then=status(Phase.PENDING), refusal=replace(refusal, attempt=0))
    assert old.status.waiting is None


def test_a_refused_service_is_left_alone_until_its_time_while_all_pods_are_there():
    refusal = Refusal(1, None, "NameTaken", "Service tune exists", read_time(at(5)))
    for phase, pods in ((Phase.PENDING, (pod(0), pod(1))), (Phase.RUNNING, (running(0), running(1)))):
        early = look(*pods, then=status(phase), refusal=refusal)
        assert (early.shared, early.look_again) == (Shared.LEAVE, refusal.retry_at)
        assert look(*pods, then=status(phase), refusal=replace(refusal, retry_at=NOW)).shared is Shared.ENSURE
        assert look(*pods, then=status(phase), refusal=replace(refusal, attempt=0)).shared is Shared.ENSURE


def test_the_first_waiting_worker_is_told():
    decision = look(waiting(1, "ErrImagePull", "no such image"), running(0), then=status(Phase.STARTING))
    assert (decision.status.waiting.worker, decision.status.waiting.message) == (1, "no such image")
    assert look(waiting(0, "InvalidImageName"), pod(1), then=status(Phase.STARTING)).is_stuck


def test_events_speak_for_pods_that_are_silent_themselves():
    words = {pod(1).uid: Words("FailedMount", "secret not found"), pod(0).uid: Words("FailedMount", "older")}
    mounting = look(waiting(0, "ErrImagePull"), pod(1), then=status(Phase.STARTING), pod_words=words)
    assert mounting.status.waiting.reason == "ErrImagePull"
    silent = look(running(0), pod(1), then=status(Phase.STARTING), pod_words=words).status.waiting
    assert (silent.worker, silent.reason, silent.message) == (1, "FailedMount", "secret not found")


def test_a_finished_job_shows_the_last_figures_of_its_outcome():
    training = TrainingProgress(step=5, total_steps=5, loss=1.23456789, eval_loss=2.0, remaining_seconds=0.4)
    message = Outcome(reason=Reason.SUCCEEDED, training=training).to_termination_message()
    progress = look(ended(0, message=message), ended(1)).status.progress
    assert (progress.stage, progress.summary, progress.remaining) == ("done", "5/5", None)
    assert (progress.loss, progress.eval_loss) == (1.2346, 2.0)


def test_a_pod_that_stops_for_a_suspension_leaves_its_checkpoint_in_the_status():
    saved = CheckpointStatus(step=7, path="tune/checkpoints/step-00000007", time=at(0))
    message = Outcome(reason=Reason.PREEMPTED, checkpoint=saved).to_termination_message()
    stopping = ended(0, REASONS[Reason.PREEMPTED].exit_code or 1, message, deleted_at=at(0))
    decision = look(stopping, of=job(suspend=True), then=status(Phase.SUSPENDING))
    assert decision.status.checkpoint == saved
    assert seconds_to_wait(status(Phase.SUSPENDING), decision.status, since_last=0, since_news=0) == 0
