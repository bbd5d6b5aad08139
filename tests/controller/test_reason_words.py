"""Whatever others give as a reason, the status can be written."""

import json

import pytest

from peft_fsdp_api.status import Phase
from peft_fsdp_operator.cluster.answers import read_error
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.observe import newest_words, see_pod
from peft_fsdp_operator.reason_words import spell_reason
from peft_fsdp_operator.render import render_pods
from peft_fsdp_operator.seen import Refusal
from tests.controller.builders import NOW, at, job, pod, seen, status

SENTENCE = "pods need a label: team"


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        ("Forbidden", "exceeded quota", ("Forbidden", "exceeded quota")),
        ("Err_2", "", ("Err_2", "")),
        (SENTENCE, "denied", ("Other", f"denied ({SENTENCE})")),
        (SENTENCE, f"denied: {SENTENCE}", ("Other", f"denied: {SENTENCE}")),
        (SENTENCE, "", ("Other", SENTENCE)),
        ("x" * 65, "", ("Other", "x" * 65)),
        ("2Late", "", ("Other", "2Late")),
        ("Größe", "", ("Other", "Größe")),
    ],
)
def test_a_reason_is_one_word_and_what_was_said_stays(reason, message, told):
    assert spell_reason(reason, message, "Other") == told


@pytest.mark.parametrize(("code", "word"), [(403, "Forbidden"), (422, "Forbidden"), (500, "InternalError")])
def test_a_webhooks_reason_ends_in_a_condition(code, word):
    error = read_error(code, json.dumps({"kind": "Status", "reason": SENTENCE, "message": "denied"}).encode(), "")
    refusal = Refusal(1, 1, error.reason, error.message, NOW)
    decision = decide(seen(pod(0), then=status(Phase.PENDING), refusal=refusal), NOW)
    written = with_conditions(decision, [], NOW)
    assert {(one.reason, one.message) for one in written.conditions if one.message} == {(word, f"denied ({SENTENCE})")}


def test_so_do_reasons_of_events_and_of_pods():
    said = {"involvedObject": {"uid": "a"}, "reason": SENTENCE, "message": "no", "lastTimestamp": at(0)}
    assert newest_words([said], NOW)["a"].reason == "Warning"
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": SENTENCE}
    waits = {"name": "trainer", "state": {"waiting": {"reason": SENTENCE}}}
    body = render_pods(job(), 1, [0], "image:1")[0]
    body["metadata"] |= {"uid": "p1", "resourceVersion": "7", "creationTimestamp": at(0)}
    seen_so = see_pod({**body, "status": {"conditions": [unscheduled], "containerStatuses": [waits]}})
    assert (seen_so.unscheduled.reason, seen_so.waiting.reason) == ("Unknown", "Waiting")
    assert (seen_so.unscheduled.message, SENTENCE in seen_so.waiting.message) == (SENTENCE, True)
