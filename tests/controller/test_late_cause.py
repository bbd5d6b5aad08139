"""The cause of an end that is seen after its echo."""

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Phase
from peft_fsdp_operator.decide import decide
from tests.controller.builders import NOW, at, failed, running, seen

R = Reason
STOPPING = {"deleted_at": at(30)}


def after_echo(reason=R.LOST_PEER):
    """The status once the word of worker 0 has ended the attempt."""
    return decide(seen(failed(0, reason, 10), running(1)), NOW).status


def look(echo, *pods):
    return decide(seen(failed(0, R.LOST_PEER, 10, **STOPPING), *pods, then=echo), NOW)


def test_the_cause_takes_the_place_of_its_echo_in_failure_history_and_budget():
    decision = look(after_echo(), failed(1, R.APPLICATION_ERROR, 10, **STOPPING))
    status = decision.status
    assert (status.phase, status.last_failure.reason, status.last_failure.pod) == (
        Phase.RESTARTING, R.APPLICATION_ERROR, "tune-1-1")  # fmt: skip
    assert (status.restarts.application, status.restarts.infrastructure) == (1, 0)
    assert (status.budgets.application.used, status.budgets.infrastructure.used) == (1, 0)
    assert [one.reason for one in status.failures] == [R.APPLICATION_ERROR]


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
    ],
    ids=["still stops", "echo too", "stopped by us", "later than our stop"],
)
def test_what_follows_from_the_stop_changes_nothing(other):
    echo = after_echo()
    status = look(echo, other).status
    assert (status.last_failure, status.restarts) == (echo.last_failure, echo.restarts)


def test_a_verdict_on_a_cause_stands():
    told = decide(seen(failed(0, R.APPLICATION_ERROR, 10), running(1)), NOW).status
    status = look(told, failed(1, R.OUT_OF_MEMORY, 9, **STOPPING)).status
    assert status.last_failure.reason == R.APPLICATION_ERROR


def test_the_second_look_says_the_same():
    first = look(after_echo(), failed(1, R.APPLICATION_ERROR, 10, **STOPPING)).status
    again = look(first, failed(1, R.APPLICATION_ERROR, 10, **STOPPING)).status
    assert again.restarts == first.restarts
    assert again.last_failure == first.last_failure
