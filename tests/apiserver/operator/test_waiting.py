"""Why a job does not start, as the cluster says it, on the real API server: within ten seconds of its knowing."""

import json
from contextlib import contextmanager

import pytest

from peft_fsdp_operator.cluster import EVENTS, PODS
from tests.apiserver.operator.webhooks import NOBODY, refusing_webhook, webhook
from tests.apiserver.operator.world import NODE, condition, now, until

pytestmark = pytest.mark.apiserver
WITHIN = 30.0
"""Seconds: those ten, and as long again twice for a machine that is busy with others."""


async def until_waiting(world, reason):
    async def told():
        waiting = (await world.status()).get("waiting") or {}
        return waiting if waiting.get("reason") == reason else None

    return await until(told, world.status, seconds=WITHIN)


async def test_a_volume_that_cannot_be_mounted_is_told_in_the_kubelets_words(world):
    await world.submit()
    pods = await world.until_pods("tune-1-0", "tune-1-1")
    await world.run_pod("tune-1-0")
    await world.bind("tune-1-1")
    await world.report("tune-1-1", "Pending", {"waiting": {"reason": "ContainerCreating"}})
    said = 'MountVolume.SetUp failed for volume "data" : secret "keys" not found'
    await say(world, pods["tune-1-1"], "FailedMount", said)
    waiting = await until_waiting(world, "FailedMount")
    assert (waiting["worker"], waiting["message"]) == (1, said)
    await world.run_pod("tune-1-1")
    assert "waiting" not in await world.until_phase("Running")


async def say(world, pod, reason, message):
    """An event as the kubelet writes it."""
    about = {"kind": "Pod", "namespace": world.namespace} | {part: pod["metadata"][part] for part in ("name", "uid")}
    times = {"firstTimestamp": now(), "lastTimestamp": now(), "count": 1}
    body = {"metadata": {"generateName": "kubelet-"}, "involvedObject": about, "type": "Warning", "reason": reason}
    await world.cluster.create(EVENTS, world.namespace, {**body, **times, "message": message})


async def test_a_container_that_cannot_be_configured_is_told(world):
    await world.submit(nodes=1)
    await world.until_pods("tune-1-0")
    await world.bind("tune-1-0")
    late = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "the binding was faster"}
    await world.patch(PODS, "tune-1-0", {"status": {"conditions": [late]}}, "status")
    said = {"reason": "CreateContainerConfigError", "message": 'secret "token" not found'}
    await world.report("tune-1-0", "Pending", {"waiting": said})
    assert (await until_waiting(world, said["reason"]))["message"] == said["message"]


async def test_an_init_container_that_waits_is_told(world):
    await world.submit(nodes=1)
    await world.until_pods("tune-1-0")
    await world.bind("tune-1-0")
    said = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "mesh-init"'}
    await world.report("tune-1-0", "Pending", {"waiting": said}, of="initContainerStatuses", name="mesh-init")
    assert (await until_waiting(world, said["reason"]))["message"] == said["message"]


@contextmanager
def node(api_server, status):
    """A node that nobody serves, with the status that a kubelet or the cluster would give it."""
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
    api_server.kubectl("create", "-f", "-", input=json.dumps(manifest))
    try:
        patch = json.dumps({"status": status})
        api_server.kubectl("patch", "node", NODE, "--subresource=status", "--type=merge", f"--patch={patch}")
        yield
    finally:
        api_server.kubectl("delete", "node", NODE)


async def test_a_claim_that_is_not_bound_is_told_in_the_schedulers_words(world, api_server):
    amounts = {"cpu": "8", "memory": "64Gi", "pods": "10", "nvidia.com/gpu": "8"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    with node(api_server, {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}):
        await world.submit(nodes=1)

        async def told():
            waiting = (await world.status()).get("waiting") or {}
            return waiting if "unbound immediate PersistentVolumeClaims" in waiting.get("message", "") else None

        waiting = await until(told, world.status, seconds=WITHIN)
        assert (waiting["worker"], waiting["reason"]) == (0, "Unschedulable")


async def test_a_passed_through_field_that_kubernetes_does_not_know_is_told(world):
    await world.submit(workers={"nodes": 1, "affinity": {"podAffinty": {}}})
    waiting = await until_waiting(world, "BadRequest")
    assert "podAffinty" in waiting["message"]
    assert condition(await world.status(), "Stalled")["status"] == "True"


async def test_an_admission_webhook_that_does_not_answer_is_told(world, api_server):
    async with webhook(api_server, world, NOBODY):
        await world.submit(nodes=1)
        waiting = await until_waiting(world, "InternalError")
        assert "gate.example.com" in waiting["message"]
    await world.until_pods("tune-1-0")


async def test_an_admission_webhook_that_gives_a_sentence_as_its_reason_is_told(world, api_server, tmp_path):
    status = {"code": 403, "reason": "pods need a team", "message": "ask the platform team"}
    async with refusing_webhook(api_server, world, tmp_path / "pki", status):
        await world.submit(nodes=1)
        waiting = await until_waiting(world, "Forbidden")
        assert "ask the platform team (pods need a team)" in waiting["message"]
        assert condition(await world.status(), "Reconciling")["reason"] == "Forbidden"
    await world.until_pods("tune-1-0")
