"""What is remembered of failed attempts, and what it costs."""

from datetime import timedelta

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Failure, PastFailure, Phase
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.decide.history import nodes_to_avoid, remember
from peft_fsdp_operator.render import render_pods
from tests.controller.builders import NOW, at, failed, job, running, seen, status


def past(node, reason=Reason.APPLICATION_ERROR):
    return PastFailure(attempt=1, reason=reason, node=node, message="")


def test_the_last_failures_are_kept_in_short_the_newest_at_the_end():
    kept = []
    for attempt in range(1, 14):
        kept = remember(kept, Failure(attempt=attempt, reason="LostPeer", message="Traceback\n" + "x" * 999))
    assert [one.attempt for one in kept] == list(range(4, 14))
    assert kept[0].message == "x" * 256


@pytest.mark.parametrize(
    ("failures", "avoided"),
    [
        ([past("a")], []),
        ([past("a"), past("b"), past("a", Reason.LOST_PEER)], ["a"]),
        ([past("a", Reason.POD_DELETED)] * 3, []),
        ([past("a", Reason.DISRUPTED)] * 3, []),
        ([past(None)] * 3, []),
        ([past("a")] * 2 + [past("b")] * 3 + [past("c")] * 2 + [past("d")] * 2, ["b", "a", "c"]),
    ],
)
def test_nodes_on_which_a_job_failed_repeatedly_are_avoided(failures, avoided):
    assert nodes_to_avoid(failures) == avoided


def test_a_second_failure_on_a_node_is_seen_in_the_status():
    first = decide(seen(failed(0, Reason.APPLICATION_ERROR), running(1)), NOW).status
    assert (len(first.failures), first.avoided_nodes) == (1, None)
    second = decide(seen(failed(0, Reason.LOST_PEER), running(1), then=status(failures=first.failures)), NOW).status
    assert (len(second.failures), second.avoided_nodes) == (2, ["node-0"])


@pytest.mark.parametrize("affinity", [None, {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}])
def test_avoided_nodes_are_a_wish_beside_the_users_own(affinity):
    of = job(workers={"affinity": affinity} if affinity else {})
    (pod,) = render_pods(of, 3, [0], "image:1", ["bad", "worse"])
    by_node = pod["spec"]["affinity"]["nodeAffinity"]
    (term,) = by_node.pop("preferredDuringSchedulingIgnoredDuringExecution")
    assert [field["values"] for field in term["preference"]["matchFields"]] == [["bad"], ["worse"]]
    assert by_node == (affinity or {}).get("nodeAffinity", {})


def fail_again(since, used, total, **budget):
    then = status(restarts={"application": total}, budgets={"application": {"since": at(since), "used": used}})
    of = job(restart={"application": {"limit": 3, **budget}})
    return decide(seen(failed(0, Reason.APPLICATION_ERROR), running(1), of=of, then=then), NOW).status


@pytest.mark.parametrize(
    ("since", "used", "budget", "phase"),
    [
        (-9000, 3, {}, Phase.FAILED),
        (-3599, 3, {"window": "1h"}, Phase.FAILED),
        (-3599, 2, {"window": "1h"}, Phase.RESTARTING),
        (-3600, 3, {"window": "1h"}, Phase.RESTARTING),
    ],
)
def test_a_budget_counts_within_its_window(since, used, budget, phase):
    assert fail_again(since, used, 7, **budget).phase is phase


def test_a_new_window_begins_the_count_and_the_back_off_anew_but_not_the_total():
    later = fail_again(-7200, 3, 7, window="1h")
    assert (later.budgets.application.used, later.budgets.application.since) == (1, at(0))
    assert later.restarts.application == 8
    assert later.next_attempt_time == at(timedelta(seconds=1).total_seconds())


def test_a_job_of_an_older_operator_is_charged_from_its_total():
    then = status(restarts={"application": 2})
    budgets = decide(seen(failed(0, Reason.APPLICATION_ERROR), running(1), then=then), NOW).status.budgets
    assert budgets.application.used == 3
