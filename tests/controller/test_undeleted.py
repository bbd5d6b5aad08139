"""Pods that the API server does not let us delete: its words are told, and it is asked again with one pod at a time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import ConditionType, Phase
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.seen import Refusal
from tests.controller.builders import NOW, failed, job, running, seen, status

PODS = [running(0), running(1)]
HELD = Refusal(1, 0, "Forbidden", "policy says no", NOW + timedelta(seconds=3))
DUE = replace(HELD, retry_at=NOW)


def look(then, refusal, *pods, **spec):
    return decide(replace(seen(*(pods or PODS), of=job(**spec), then=then), undeleted=refusal), NOW)


@pytest.mark.parametrize(
    ("then", "spec"),
    [
        (status(Phase.RESTARTING), {}),
        (status(Phase.SUSPENDING), {"suspend": True}),
        (status(Phase.FAILED), {}),
        (status(Phase.SUCCEEDED), {"cleanup": "delete"}),
    ],
)
def test_the_words_are_told_and_one_pod_is_tried_when_it_is_time(then, spec):
    held, due, free = (look(then, refusal, **spec) for refusal in (HELD, DUE, None))
    assert held.status.waiting.message == "pods cannot be deleted: policy says no"
    assert (held.delete, held.look_again) == ((), HELD.retry_at)
    assert (due.delete, due.status.waiting) == ((PODS[0],), held.status.waiting)
    assert (free.delete, free.status.waiting) == (tuple(PODS), None)
    assert held.status.phase is then.phase


def test_it_is_an_event_once_and_the_reason_of_the_conditions():
    held = look(status(Phase.RESTARTING), HELD)
    written = with_conditions(held, [], NOW)
    (ready,) = [one for one in written.conditions if one.type == ConditionType.READY]
    assert (held.notice.reason, ready.reason, ready.message) == ("Forbidden", "Forbidden", held.status.waiting.message)
    assert look(written, HELD).notice is None


def test_a_verdict_comes_before_what_was_refused_another_time():
    decision = look(status(), HELD, failed(0, Reason.APPLICATION_ERROR), running(1))
    assert (decision.status.phase, decision.reason) == (Phase.RESTARTING, Reason.APPLICATION_ERROR)
    assert decision.delete


def test_what_an_ended_job_waited_for_is_over_when_its_pods_are_gone():
    waited = look(status(Phase.FAILED), HELD).status
    assert decide(seen(then=waited), NOW).status.waiting is None
