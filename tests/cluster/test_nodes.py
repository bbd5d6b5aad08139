"""Workers on two real nodes, of which one is drained and then dies."""

from collections.abc import Iterator

import pytest

from dev.cluster.instance import Cluster, remove_node, start_node, stop_node
from tests.cluster.jobs import demo_job
from tests.cluster.runs import Runs

pytestmark = pytest.mark.cluster

NODE = "node-2"
STEPS = 60


@pytest.fixture
def second_node(one_machine: Cluster) -> Iterator[str]:
    try:
        start_node(one_machine.name, NODE)
        yield NODE
    finally:
        remove_node(one_machine.name, NODE)


def test_a_drained_and_then_a_dead_node_cost_one_attempt_each(
    runs: Runs, one_machine: Cluster, second_node: str
) -> None:
    name = runs.apply(demo_job("nodes", steps=STEPS, workers={"nodeSelector": {}, "affinity": _one_per_node("nodes")}))
    runs.running_pods(name)
    nodes = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in runs.pods(name)}
    assert set(nodes) == {"node-1", second_node}

    runs.target.run("drain", second_node, "--force", "--delete-emptydir-data", "--timeout=60s")
    drained = runs.wait(name, lambda status: bool(status.get("lastFailure")))["lastFailure"]
    assert (drained["pod"], drained["node"], drained["reason"]) == (nodes[second_node], second_node, "Disrupted")
    runs.target.run("uncordon", second_node)
    runs.running_pods(name, attempt=2)
    assert "resumed from" in runs.kubectl("logs", f"{name}-2-0")

    stop_node(one_machine.name, second_node)
    told = runs.wait(name, lambda status: status.get("waiting", {}).get("reason") == "NodeNotReady")
    assert second_node in told["waiting"]["message"]
    assert told["attempt"] == 2
    runs.target.run("delete", "node", second_node)
    lost = runs.wait(name, lambda status: status.get("attempt") == 3)["lastFailure"]
    assert lost["reason"] in ("NodeLost", "LostPeer")
    start_node(one_machine.name, second_node)

    ended = runs.wait_for_phase(name, "Succeeded")
    assert ended["restarts"] == {"application": 0, "infrastructure": 1, "preemption": 1}, ended["failures"]
    assert ended["progress"]["step"] == STEPS
    assert "resumed from" in runs.kubectl("logs", f"{name}-3-0")


def test_a_restarted_node_is_a_lost_node(runs: Runs, one_machine: Cluster, second_node: str) -> None:
    name = runs.apply(
        demo_job("reboot", steps=STEPS, workers={"nodeSelector": {}, "affinity": _one_per_node("reboot")})
    )
    runs.running_pods(name)
    stop_node(one_machine.name, second_node)
    start_node(one_machine.name, second_node)
    # Its peer may be heard first: a lost peer, until the cause is known.
    lost = runs.wait(name, lambda status: status.get("lastFailure", {}).get("reason") == "NodeLost")["lastFailure"]
    assert lost["node"] == second_node, lost
    ended = runs.wait_for_phase(name, "Succeeded")
    assert ended["restarts"] == {"application": 0, "infrastructure": 1, "preemption": 0}, ended["failures"]


def _one_per_node(job: str) -> dict[str, object]:
    term = {
        "labelSelector": {"matchLabels": {"training.peft-fsdp.io/job": job}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
