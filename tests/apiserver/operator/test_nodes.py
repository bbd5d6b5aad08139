"""Nodes that are silent, gone, fenced or drained, on the real API server.

No kubelet serves them: what the cluster would say of them is written by hand.
"""

import asyncio

import pytest

from peft_fsdp_operator.cluster import JOBS, NODES, PODS
from tests.apiserver.operator.launchers import launchers
from tests.apiserver.operator.world import condition, now, until

pytestmark = pytest.mark.apiserver
FIRST, SECOND = ("tune-1-0", "tune-1-1"), ("tune-2-0", "tune-2-1")
DOOMED = "doomed"


async def start(world, **spec):
    """A gang that runs, worker 1 on the node that will be lost."""
    await world.submit(**spec)
    await world.until_pods(*FIRST)
    await world.bind("tune-1-1", DOOMED)
    await world.run_all()
    await world.until_phase("Running")


async def until_waiting(world, reason, part=""):
    async def told():
        waiting = (await world.status()).get("waiting") or {}
        return waiting if waiting.get("reason") == reason and part in waiting["message"] else None

    return await until(told, world.status)


async def until_ready(world, value, reason):
    async def told():
        ready = condition(await world.status(), "Ready")
        return ready if (ready["status"], ready["reason"]) == (value, reason) else None

    return await until(told, world.status)


async def lost_and_restarted(world):
    """The second attempt stands, and the first one has no pod left that anybody waits for."""
    await world.until_pods(*SECOND)
    status = await world.status()
    failure = status["lastFailure"]
    assert (failure["reason"], failure["node"], failure["pod"]) == ("NodeLost", world.named(DOOMED), "tune-1-1")
    assert status["restarts"] == {"application": 0, "infrastructure": 1, "preemption": 0}
    return failure


async def test_a_node_that_is_removed_restarts_the_gang(world):
    await start(world)
    await world.remove_node(DOOMED)
    failure = await lost_and_restarted(world)
    assert failure["message"] == f"node {world.named(DOOMED)} is gone"


async def test_a_gang_that_waits_for_a_pod_goes_on_when_its_node_is_removed(world):
    await start(world)
    await world.end_pod("tune-1-0", 74)
    await world.until_phase("Restarting")
    await world.remove_node(DOOMED)
    await lost_and_restarted(world)


async def test_a_silent_node_is_told_and_its_pod_removed_after_the_time_out(world):
    """The time-out is shortened while it runs: it may change at any time."""
    await start(world)
    await world.silence(DOOMED, since=now(ago=60))
    waiting = await until_waiting(world, "NodeNotReady", "Kubelet stopped")
    assert (waiting["worker"], "nodeLostTimeout 5m" in waiting["message"]) == (1, True)
    assert (await world.status())["phase"] == "Running"
    await world.patch(JOBS, "tune", {"spec": {"nodeLostTimeout": "30s"}})
    failure = await lost_and_restarted(world)
    assert "longer than nodeLostTimeout 30s" in failure["message"]


async def test_the_clock_runs_out_by_itself(world):
    await start(world, nodeLostTimeout="3s")
    await world.silence(DOOMED, since=now())
    await lost_and_restarted(world)


async def test_a_node_that_answers_again_in_time_takes_back_readiness_alone(world):
    """Once a launcher has answered the job is ready, as long as every node of it answers."""
    async with launchers(1) as (launcher,):
        await start(world)
        await world.run_pod("tune-1-0", launcher.ip)
        await until_ready(world, "True", "Running")
        await world.silence(DOOMED, since=now())
        told = await until_ready(world, "False", "NodeNotReady")
        assert told["message"].startswith(f"worker 1: node {world.named(DOOMED)} is not ready")
        await asyncio.sleep(1.1)  # GPU time is counted in whole seconds
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        await world.patch(NODES, world.named(DOOMED), ready, "status")
        await until_ready(world, "True", "Running")
    status = await world.status()
    assert ("waiting" in status, status["attempt"], sum(status["restarts"].values())) == (False, 1, 0)
    assert status["gpuSeconds"] >= 16  # the running attempt's, in a status that was written for another reason
    assert set(await world.pods()) == set(FIRST)

    async def all_told():
        events = await world.events()
        return events if ("Running", "attempt 1: all pods run; NodeNotReady is over") in events else None

    assert [world.named(DOOMED) in words for _, words in await until(all_told, world.events)].count(True) == 1


async def test_without_a_time_out_only_a_fence_helps_and_the_silence_is_told_while_the_gang_restarts(world):
    await start(world, nodeLostTimeout="0s")
    await world.end_pod("tune-1-0", 74)
    await world.until_phase("Restarting")
    await world.silence(DOOMED, since=now(ago=9999))
    await until_waiting(world, "NodeNotReady", "tainted as out of service")
    assert (await world.status())["lastFailure"]["reason"] == "NodeLost"
    assert set(await world.pods()) == {"tune-1-1"}
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    await world.patch(NODES, world.named(DOOMED), {"spec": {"taints": [taint]}})
    await lost_and_restarted(world)


async def test_a_pod_that_has_not_started_on_a_silent_node_is_told(world):
    await world.submit()
    await world.until_pods(*FIRST)
    await world.bind("tune-1-1", DOOMED)
    await world.silence(DOOMED, since=now())
    assert (await until_waiting(world, "NodeNotReady"))["worker"] == 1


async def test_a_drain_is_no_lost_node(world):
    """What `kubectl drain` does to a pod: an eviction, which the pod says of itself before it stops."""
    await start(world)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "tune-1-1"}}
    url = world.cluster._server + PODS.path(world.namespace, "tune-1-1", "eviction")
    async with world.cluster.session.post(url, json=eviction) as response:
        assert response.status < 300, await response.text()

    async def ended():
        return (await world.status()).get("lastFailure")

    failure = await until(ended, world.status)
    assert (failure["reason"], failure["node"]) == ("Disrupted", world.named(DOOMED))
    await world.remove_by_force("tune-1-1")
    await world.until_pods(*SECOND)
    assert (await world.status())["restarts"]["preemption"] == 1
