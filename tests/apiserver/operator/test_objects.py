"""From a job to its objects, on the real API server."""

import asyncio

import pytest

from peft_fsdp_api import names
from peft_fsdp_operator.cluster import CONFIGMAPS, JOBS, PODS, SERVICES
from tests.apiserver.operator.world import condition, job_body, stays, until

pytestmark = pytest.mark.apiserver


async def test_a_job_gets_a_service_a_configmap_and_its_pods(world):
    job = await world.submit(nodes=3)
    pods = await world.until_pods("tune-1-0", "tune-1-1", "tune-1-2")
    service, configmap = await world.find(SERVICES), await world.find(CONFIGMAPS)
    for child in (service, configmap, *pods.values()):
        assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [job["metadata"]["uid"]]
    assert {pod["spec"]["hostname"] for pod in pods.values()} == set(pods)
    assert service["spec"]["clusterIP"] == "None"


async def test_the_first_status_says_which_generation_it_saw_and_that_work_is_going_on(world):
    await world.submit()
    status = await until(lambda: seen_by_operator(world))
    assert status["observedGeneration"] == 1
    assert condition(status, "Reconciling")["status"] == "True"
    assert condition(status, "Ready")["status"] == "False"


async def seen_by_operator(world):
    status = await world.status()
    return status if "conditions" in status else None


async def test_a_pod_that_cannot_be_scheduled_is_told_in_the_schedulers_words(world):
    await world.submit(nodes=1)

    async def waits():
        return (await world.status()).get("waiting")

    waiting = await until(waits)
    assert (waiting["worker"], waiting["reason"]) == (0, "Unschedulable")
    assert "no nodes available" in waiting["message"]


async def test_all_succeeded_is_succeeded(world):
    await world.submit()
    pods = await world.until_pods("tune-1-0", "tune-1-1")
    await world.run_all()
    await world.until_phase("Running")
    for pod in pods:
        await world.end_pod(pod, 0)
    status = await world.until_phase("Succeeded")
    assert condition(status, "Complete")["status"] == condition(status, "Ready")["status"] == "True"
    assert status["workers"]["succeeded"] == 2


@pytest.mark.parametrize("resource", [SERVICES, CONFIGMAPS], ids=lambda resource: resource.plural)
async def test_what_all_pods_share_is_made_again_and_nothing_restarts(world, resource):
    await world.submit()
    pods = await world.until_pods("tune-1-0", "tune-1-1")
    await world.run_all()
    await world.until_phase("Running")
    await world.delete(resource, "tune")
    await until(lambda: world.find(resource))
    assert {pod["metadata"]["uid"] for pod in (await world.pods()).values()} == {
        pod["metadata"]["uid"] for pod in pods.values()
    }


async def test_a_service_that_was_changed_by_hand_is_put_right(world):
    await world.submit()
    await world.until_pods("tune-1-0", "tune-1-1")
    await until(lambda: world.find(SERVICES))
    await world.patch(SERVICES, "tune", {"spec": {"selector": {names.LABEL_WORKER: "1"}}})

    async def right():
        return (await world.find(SERVICES))["spec"]["selector"][names.LABEL_WORKER] == "0"

    await until(right)


async def test_applying_the_same_job_again_changes_nothing(world):
    body = {**job_body(), "metadata": {"name": "tune"}}
    await world.cluster.apply(JOBS, world.namespace, body)
    await world.until_phase("Starting")
    await until(lambda: has_waiting(world))
    await asyncio.sleep(3)  # which of the waiting workers is named may change once more, at most a second later
    before, shared = await world.job(), await world.shared_versions()
    await world.cluster.apply(JOBS, world.namespace, body)
    after = await world.job()
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"] == before["status"]

    async def unchanged():
        return (await world.job())["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]

    await stays(unchanged)
    assert await world.shared_versions() == shared


async def has_waiting(world):
    return (await world.status()).get("waiting")


async def test_a_pod_of_somebody_else_is_reported_and_not_touched(world):
    container = {"name": "main", "image": "example"}
    foreign = {"metadata": {"name": "tune-1-1"}, "spec": {"containers": [container]}}
    made = await world.cluster.create(PODS, world.namespace, foreign)
    await world.submit()

    async def told():
        waiting = (await world.status()).get("waiting") or {}
        return waiting if waiting.get("reason") == "NameTaken" else None

    waiting = await until(told)
    assert waiting["worker"] == 1
    assert "tune-1-1" in waiting["message"]
    assert condition(await world.status(), "Stalled")["status"] == "True"
    found = await world.find(PODS, "tune-1-1")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert "deletionTimestamp" not in found["metadata"]


async def test_a_job_that_is_deleted_and_applied_again_starts_anew(world):
    first = await world.submit()
    await world.until_pods("tune-1-0", "tune-1-1")
    await world.delete(JOBS, "tune")
    second = await world.submit()

    async def owners():
        found = [*(await world.pods()).values(), await world.find(SERVICES), await world.find(CONFIGMAPS)]
        return {one["metadata"]["ownerReferences"][0]["uid"] for one in found if one}

    async def renewed():
        return await owners() == {second["metadata"]["uid"]} and len(await world.pods()) == 2

    await until(renewed, owners)
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert (await world.status())["attempt"] == 1


async def test_a_refused_pod_is_told_in_the_api_servers_words(world, api_server):
    quota = ("create", "quota", "none", "--hard=pods=1", "-n", world.namespace)
    api_server.kubectl(*quota)
    await world.submit()
    waiting = await until(lambda: has_refusal(world))
    assert "exceeded quota" in waiting["message"]
    api_server.kubectl("delete", "quota", "none", "-n", world.namespace)
    await world.until_pods("tune-1-0", "tune-1-1")
    await world.until_phase("Starting")


async def has_refusal(world):
    waiting = (await world.status()).get("waiting") or {}
    return waiting if waiting.get("reason") == "Forbidden" else None
