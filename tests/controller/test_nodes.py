"""Nodes that do not answer: told at once, given up in their time, and the cause of what their pods' peers say."""

from datetime import timedelta

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Phase
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.observe import NODE_GONE, silent_by_their_pods
from peft_fsdp_operator.seen import TAKEN_BY_TAINT, Silence, Words
from peft_fsdp_operator.times import read_time
from tests.controller.builders import NOW, at, failed, job, pod, running, seen, status

R = Reason
STOPPING = {"deleted_at": at(60), "grace_seconds": 90}
FORCED = {"deleted_at": at(0), "grace_seconds": 0}
TAINTED = Words(TAKEN_BY_TAINT, "Taint manager: deleting due to NoExecute taint")


def silent(since=-10.0, **facts):
    return Silence("NodeNotReady", "not ready: Kubelet stopped", at(since), **facts)


def look(*pods, node=None, **facts):
    return decide(seen(*pods, silent_nodes={"node-1": node or silent()}, **facts), NOW)


@pytest.mark.parametrize("other", [running(1), pod(1)], ids=["seems to run", "has not started"])
def test_a_silent_node_is_told_and_looked_at_again_when_its_time_is_over(other):
    decision = look(running(0), other)
    waiting = decision.status.waiting
    assert (waiting.worker, waiting.reason) == (1, "NodeNotReady")
    assert waiting.message.startswith("node node-1 is not ready: Kubelet stopped; its pods are given up at ")
    assert (decision.look_again, decision.delete, decision.force) == (read_time(at(290)), (), ())


def test_a_silent_node_is_told_in_one_event_and_its_return_in_another():
    told = look(running(0), running(1))
    assert (told.is_doubtful, told.reason, told.notice.type) == (True, "NodeNotReady", "Warning")
    assert told.message.startswith("worker 1: node node-1 is not ready")
    assert look(running(0), running(1), then=told.status).notice is None
    back = decide(seen(running(0), running(1), then=told.status), NOW)
    assert (back.is_doubtful, back.status.waiting, back.status.restarts) == (False, None, status().restarts)
    assert back.notice.message == "attempt 1: all pods run; NodeNotReady is over"
    assert decide(seen(running(0), running(1), then=back.status), NOW).notice is None


def test_other_reasons_to_wait_come_after_a_silent_node():
    stale = pod(1, waiting=Words("ImagePullBackOff", "said before it fell silent"))
    assert look(running(0), stale, then=status(Phase.STARTING)).status.waiting.reason == "NodeNotReady"


def test_a_pod_whose_end_is_known_does_not_wait_for_its_node():
    assert look(running(0), failed(1, R.APPLICATION_ERROR)).status.last_failure.reason == R.APPLICATION_ERROR


@pytest.mark.parametrize(
    ("timeout", "node", "lost"),
    [
        ("5m", silent(-299), False),
        ("5m", silent(-300), True),
        ("10s", silent(-10), True),
        ("0s", silent(-99999), False),
        ("0s", NODE_GONE, True),
        ("5m", silent(-1, is_fenced=True), True),
        ("5m", Silence("NodeNotReady", "not ready: no time is known"), False),
    ],
)
def test_when_a_node_is_given_up(timeout, node, lost):
    decision = look(running(0), running(1), of=job(nodeLostTimeout=timeout), node=node)
    assert (decision.status.phase is Phase.RESTARTING) is lost
    assert [one.name for one in decision.force] == (["tune-1-1"] if lost else [])
    assert [one.name for one in decision.delete] == (["tune-1-0"] if lost else [])
    if lost:
        assert (decision.status.last_failure.reason, decision.status.last_failure.node) == (R.NODE_LOST, "node-1")
        assert (decision.status.restarts.infrastructure, decision.status.next_attempt_time) == (1, None)


def test_without_a_time_out_the_message_says_what_is_waited_for():
    waiting = look(running(0), running(1), of=job(nodeLostTimeout="0s")).status.waiting
    assert waiting.message.endswith("until it answers, is removed, or is tainted as out of service")


def test_the_next_attempt_begins_when_the_pod_of_a_lost_node_was_removed():
    restarting = status(Phase.RESTARTING)
    told = look(running(1, **STOPPING), node=silent(-299), then=restarting)
    assert (told.status.waiting.reason, told.force, told.create) == ("NodeNotReady", (), ())
    given_up = look(running(1, **STOPPING), node=silent(-300), then=restarting)
    assert ([one.name for one in given_up.force], given_up.create) == (["tune-1-1"], ())
    held_by_a_finalizer = look(running(1, **FORCED), node=silent(-300), then=restarting)
    assert (held_by_a_finalizer.force, held_by_a_finalizer.create) == ((), (0, 1))
    on_another = look(running(0, **FORCED), running(1, **FORCED), node=silent(-300), then=restarting)
    assert on_another.create == ()


def test_a_suspended_job_gives_up_nodes_too():
    decision = look(running(1, **STOPPING), node=silent(-300), of=job(suspend=True), then=status(Phase.SUSPENDING))
    assert [one.name for one in decision.force] == ["tune-1-1"]


def test_a_silent_node_is_the_cause_of_what_its_peers_said_before():
    """Its peers miss it after twenty seconds, the cluster after forty."""
    told = decide(seen(failed(0, R.LOST_PEER, -20), running(1)), NOW).status
    gang = (failed(0, R.LOST_PEER, -20, **STOPPING), running(1, **STOPPING))
    decision = look(*gang, node=silent(0), then=told)
    failure = decision.status.last_failure
    assert (failure.reason, failure.node, decision.force) == (R.NODE_LOST, "node-1", ())
    assert decision.status.restarts.infrastructure == 1
    again = decide(seen(*gang, then=decision.status, silent_nodes={"node-1": silent(0)}), NOW + timedelta(seconds=5))
    assert (again.status.last_failure, again.status.restarts) == (failure, decision.status.restarts)


def test_a_pod_that_never_started_on_a_node_that_may_not_be_read_is_given_up_some_time_after_it_should_be_gone():
    """The cluster says nothing of it before its tolerations run out, and then takes it away by a taint."""
    taken = pod(1, disruption=TAINTED, deleted_at=at(0), grace_seconds=90)
    told = decide(seen(running(0, **STOPPING), taken, then=status(Phase.STARTING)), NOW).status
    assert told.last_failure.reason == R.DISRUPTED
    for seconds, is_told, forced in ((3, False, 0), (6, True, 0), (299, True, 0), (300, True, 1)):
        now = NOW + timedelta(seconds=seconds)
        decision = decide(seen(taken, then=told, silent_nodes=silent_by_their_pods([taken], now)), now)
        waiting = decision.status.waiting
        assert (waiting is not None and waiting.reason == "NodeNotReady", len(decision.force)) == (is_told, forced)
    drained = pod(1, disruption=Words("EvictionByEvictionAPI", "drain"), deleted_at=at(0), grace_seconds=90)
    assert silent_by_their_pods([drained], NOW + timedelta(hours=1)) == {}


@pytest.mark.parametrize(
    ("pods", "nodes", "reason"),
    [
        (running(1, disruption=TAINTED), {"node-1": silent()}, R.NODE_LOST),
        (running(1, disruption=TAINTED, is_unready=True), {}, R.NODE_LOST),
        (running(1, disruption=TAINTED), {}, R.DISRUPTED),
        (running(1, disruption=Words("EvictionByEvictionAPI", "drain")), {"node-1": silent()}, R.DISRUPTED),
    ],
    ids=["silent", "silent, nodes may not be read", "a node is emptied", "a drain"],
)
def test_a_pod_that_a_taint_took_away_is_lost_where_its_node_is_silent(pods, nodes, reason):
    decision = decide(seen(running(0), pods, silent_nodes=nodes), NOW)
    assert decision.status.last_failure.reason == reason
