"""The cause of an end that is seen after its echo."""

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Phase
from peft_fsdp_operator.decide import decide
from tests.controller.builders import NOW, at, ended, failed, running, seen

R = Reason
STOPPING = {"deleted_at": at(40), "grace_seconds": 30}


def after_echo(reason=R.LOST_PEER):
    """The status once the word of worker 0 has ended the attempt."""
    return decide(seen(failed(0, reason, 10), running(1)), NOW).status


def look(told, *pods):
    return decide(seen(failed(0, R(told.last_failure.reason), 10, **STOPPING), *pods, then=told), NOW)


def test_the_cause_takes_the_place_of_its_echo_in_failure_history_and_budget():
    decision = look(after_echo(), failed(1, R.APPLICATION_ERROR, 10, **STOPPING))
    status = decision.status
    assert (status.phase, status.last_failure.reason, status.last_failure.pod) == (
        Phase.RESTARTING, R.APPLICATION_ERROR, "tune-1-1")  # fmt: skip
    assert (status.restarts.application, status.restarts.infrastructure) == (1, 0)
    assert (status.budgets.application.used, status.budgets.infrastructure.used) == (1, 0)
    assert [one.reason for one in status.failures] == [R.APPLICATION_ERROR]


def test_a_launcher_that_was_killed_in_the_second_in_which_its_peer_said_so_is_the_cause():
    """The peer's word comes first, the gang is deleted, and only then the kubelet of the killed one reports."""
    status = look(after_echo(), ended(1, 137, after=10, **STOPPING)).status
    failure = status.last_failure
    assert (failure.reason, failure.pod, failure.exit_code) == (R.APPLICATION_ERROR, "tune-1-1", 137)
    assert (status.restarts.application, status.restarts.infrastructure) == (1, 0)


def test_a_cause_that_would_come_again_fails_the_job():
    decision = look(after_echo(), failed(1, R.OUT_OF_MEMORY, 9, **STOPPING))
    assert (decision.status.phase, decision.reason) == (Phase.FAILED, R.OUT_OF_MEMORY)
    assert decision.status.restarts.infrastructure == 0


@pytest.mark.parametrize(
    "other",
    [
        running(1, **STOPPING),
        failed(1, R.LOST_PEER, 9, **STOPPING),
        failed(1, R.PREEMPTED, 10, **STOPPING),
        failed(1, R.APPLICATION_ERROR, 20, **STOPPING),
        ended(1, 137, after=40, **STOPPING),
    ],
    ids=["still stops", "echo too", "stopped by us", "later than our stop", "killed by our stop"],
)
def test_what_follows_from_the_stop_changes_nothing(other):
    echo = after_echo()
    status = look(echo, other).status
    assert (status.last_failure, status.restarts) == (echo.last_failure, echo.restarts)


@pytest.mark.parametrize("other", [failed(1, R.DISK_FULL, 9, **STOPPING), failed(1, R.DATASET_INVALID, 13, **STOPPING)])
def test_a_verdict_on_a_cause_stands(other):
    status = look(after_echo(R.APPLICATION_ERROR), other).status
    assert status.last_failure.reason == R.APPLICATION_ERROR


def test_of_two_errors_at_the_same_time_the_one_that_would_come_again_ends_the_job():
    status = look(after_echo(R.APPLICATION_ERROR), failed(1, R.DATASET_INVALID, 11, **STOPPING)).status
    assert (status.phase, status.last_failure.reason) == (Phase.FAILED, R.DATASET_INVALID)
    assert status.restarts.application == 0


def test_the_second_look_says_the_same():
    first = look(after_echo(), failed(1, R.APPLICATION_ERROR, 10, **STOPPING)).status
    again = look(first, failed(1, R.APPLICATION_ERROR, 10, **STOPPING)).status
    assert again.restarts == first.restarts
    assert again.last_failure == first.last_failure
