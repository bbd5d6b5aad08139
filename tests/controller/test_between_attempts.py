"""From the end of an attempt until the next one begins the job says why, and nothing is written on the way."""

from dataclasses import replace
from datetime import timedelta

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import ConditionType, JobStatus, Phase
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.status_writes import seconds_to_wait
from tests.controller.builders import NOW, at, failed, job, running, seen, status

STOPPING = running(1, deleted_at=at(120), grace_seconds=120)


def after(*pods, then, of=None, seconds=0.0):
    moment = NOW + timedelta(seconds=seconds)
    return with_conditions(decide(seen(*pods, of=of, then=then), moment), then.conditions, moment)


def headline(written: JobStatus):
    ready = next(one for one in written.conditions if one.type == ConditionType.READY)
    return ready.reason, ready.message


@pytest.mark.parametrize("reason", [Reason.LOST_PEER, Reason.APPLICATION_ERROR])
def test_pods_that_stop_and_the_wait_after_them_are_no_news(reason):
    ended = failed(0, reason)
    first = after(ended, running(1), then=status())
    assert first.phase is Phase.RESTARTING
    assert headline(first)[0] == reason
    steps = [after(replace(ended, deleted_at=at(0)), STOPPING, then=first), after(STOPPING, then=first)]
    if first.next_attempt_time:
        steps.append(after(then=first, seconds=0.5))
    for step in steps:
        assert headline(step) == headline(first)
        assert seconds_to_wait(first, step, since_last=0.5, since_news=0.5) > 0


def test_the_sentence_names_the_cause_and_the_moment_of_the_next_attempt():
    reason, said = headline(after(failed(0, Reason.APPLICATION_ERROR), running(1), then=status()))
    assert reason == Reason.APPLICATION_ERROR
    assert said.startswith("attempt 1 ended: rank 0 in pod tune-1-0 on node-0: ApplicationError: worker 0 says")
    assert said.endswith(f"; attempt 2 starts at {at(1)}")


def test_a_pod_that_does_not_stop_is_news_at_once():
    first = after(failed(0, Reason.LOST_PEER), running(1), then=status())
    late = after(STOPPING, then=first, seconds=300)
    assert late.waiting is not None
    assert headline(late) == ("Restarting", late.waiting.message)
    assert seconds_to_wait(first, late, since_last=0.0, since_news=0.0) == 0


def test_a_suspension_on_the_way_to_the_next_attempt_is_told():
    first = after(failed(0, Reason.LOST_PEER), running(1), then=status())
    reason, said = headline(after(STOPPING, then=first, of=job(suspend=True)))
    assert (reason, said) == ("Restarting", "1 pods of attempt 1 stop before suspending")
