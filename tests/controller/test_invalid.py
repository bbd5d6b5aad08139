"""A job that breaks the contract: it is told and left alone, stopped where that is asked for, and stays ended."""

import pytest

from peft_fsdp_api.schema import Problem
from peft_fsdp_api.status import ConditionType, Phase
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import report_invalid
from peft_fsdp_operator.decision import Decision
from peft_fsdp_operator.observe import see_suspend
from tests.controller.builders import NOW, at, running, status

PROBLEMS = [Problem("spec.training.batchSize", "must be at least 1, got -1")]
SAID = str(PROBLEMS[0])


def report(then, *pods, suspend=False):
    return report_invalid(then, 2, PROBLEMS, pods, suspend, NOW)


@pytest.mark.parametrize("suspend", [False, True])
@pytest.mark.parametrize(("phase", "reason"), [(Phase.SUCCEEDED, "Succeeded"), (Phase.FAILED, "OutOfMemory")])
def test_a_rule_that_came_later_changes_nothing_about_a_job_that_has_ended(phase, reason, suspend):
    before = with_conditions(Decision(status(phase), reason, "as it ended"), [], NOW)
    pods = running(0), running(1, deleted_at=at(0))
    reported = report(before, *pods, suspend=suspend)
    after = with_conditions(reported, before.conditions, NOW)
    assert after.observed_generation == 2
    same = {"observed_generation", "conditions"}
    assert after.model_dump(exclude=same) == before.model_dump(exclude=same)
    facts = [(one.type, one.status, one.reason, one.message) for one in after.conditions]
    assert facts == [(one.type, one.status, one.reason, one.message) for one in before.conditions]
    assert (reported.notice, reported.delete) == (None, pods[:1])


@pytest.mark.parametrize("phase", [None, Phase.STARTING, Phase.RUNNING, Phase.RESTARTING])
def test_one_that_has_not_is_told_and_left_alone(phase):
    decision = report(status(phase), running(0))
    assert (decision.status.phase, decision.message) == (phase or Phase.PENDING, SAID)
    assert (decision.is_stuck, decision.delete, decision.notice.message) == (True, (), SAID)


def test_suspend_is_heeded_whatever_else_the_spec_says():
    pods = running(0), running(1, deleted_at=at(0))
    stops = report(status(active_seconds=5), *pods, suspend=True)
    assert (stops.status.phase, stops.delete, stops.look_again is not None) == (Phase.SUSPENDING, pods[:1], True)
    assert (stops.status.active_seconds, stops.status.running_since) == (65, None)
    rests = report(stops.status, suspend=True)
    assert (rests.status.phase, rests.status.active_seconds, rests.look_again) == (Phase.SUSPENDED, 65, None)
    values = {one.type: one.status for one in with_conditions(rests, [], NOW).conditions}
    assert (values[ConditionType.SUSPENDED], values[ConditionType.STALLED]) == ("True", "True")
    assert SAID in rests.message


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [({"suspend": True}, True), ({"suspend": False}, False), ({"suspend": "yes"}, False), ({}, False), ("text", False)],
)
def test_suspend_is_read_from_whatever_there_is(spec, wanted):
    assert see_suspend({"spec": spec}) is wanted
