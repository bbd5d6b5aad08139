"""What must not happen, whatever happens to the operator: duplicates, lost jobs, two that act, blocked neighbours."""

import signal
from datetime import UTC, datetime

import pytest
import yaml

from peft_fsdp_api.crd import crd_yaml
from peft_fsdp_api.job import parse_job
from peft_fsdp_api.status import JobStatus
from peft_fsdp_operator.children import Children, Mirrors
from peft_fsdp_operator.cluster import CONFIGMAPS, JOBS, LEASES, PODS, SERVICES
from peft_fsdp_operator.observe import see_configmap, see_pod, see_service
from peft_fsdp_operator.reflector import ChildReflector
from tests.apiserver.operator.world import condition, job_body, stays, until

pytestmark = pytest.mark.apiserver
PODS_OF_FIRST = ("tune-1-0", "tune-1-1")


async def test_a_killed_operator_leaves_no_duplicates_and_the_next_one_carries_on(alone, start):
    with start("--no-election") as process:
        await alone.submit()
        await alone.until_pods(*PODS_OF_FIRST)
        process.send_signal(signal.SIGKILL)
        process.wait()
    pods = await alone.pods()
    await alone.run_all()
    with start("--no-election"):
        await alone.until_phase("Running")
        again = await alone.pods()
    assert {name: pod["metadata"]["uid"] for name, pod in again.items()} == {
        name: pod["metadata"]["uid"] for name, pod in pods.items()
    }


async def test_pods_are_allowed_where_the_restricted_level_is_enforced(alone, start, api_server):
    level = "pod-security.kubernetes.io/enforce=restricted"
    api_server.kubectl("label", "namespace", alone.namespace, level)
    with start("--no-election"):
        await alone.submit()
        await alone.until_pods(*PODS_OF_FIRST)


async def test_a_failure_while_no_operator_ran_is_seen_by_the_next_one(alone, start):
    with start("--no-election"):
        await alone.submit()
        await alone.until_pods(*PODS_OF_FIRST)
        await alone.run_all()
        await alone.until_phase("Running")
    await alone.delete(PODS, "tune-1-0")
    with start("--no-election"):
        await alone.until_pods("tune-2-0", "tune-2-1")
    assert (await alone.status())["lastFailure"]["reason"] == "PodDeleted"


async def test_a_restarted_operator_writes_nothing_about_a_job_that_runs(alone, start):
    with start("--no-election"):
        await alone.submit()
        await alone.until_pods(*PODS_OF_FIRST)
        await alone.run_all()
        await alone.until_phase("Running")
    before = await alone.job(), await alone.shared_versions()
    with start("--no-election"):

        async def untouched():
            return (await alone.job(), await alone.shared_versions()) == before

        await stays(untouched, seconds=5)


async def test_a_lost_status_loses_no_attempt_number(alone, start):
    with start("--no-election"):
        await alone.submit()
        await alone.until_pods(*PODS_OF_FIRST)
    await alone.patch(JOBS, "tune", {"status": None}, "status")
    with start("--no-election"):
        status = await alone.until_phase("Starting")
    assert status["attempt"] == 1
    assert set(await alone.pods()) == set(PODS_OF_FIRST)


async def test_of_two_operators_one_acts_and_the_other_takes_over(alone, start):
    lease = ("--lease-namespace", alone.namespace)
    with start(*lease, "--identity", "first") as first:
        await until(lambda: holder(alone, "first"))
        with start(*lease, "--identity", "second"):
            await alone.submit()
            await alone.until_phase("Starting")
            assert await holder(alone, "first")
            first.terminate()
            first.wait(timeout=30)
            await until(lambda: holder(alone, "second"))
            await alone.run_all()
            await alone.until_phase("Running")


async def holder(world, name, lease_name="peft-fsdp-operator"):
    lease = await world.find(LEASES, lease_name)
    return lease is not None and lease["spec"]["holderIdentity"] == name


async def test_operators_with_leases_of_their_own_lead_side_by_side(alone, start):
    lease = ("--lease-namespace", alone.namespace)
    with start(*lease, "--identity", "first"), start(*lease, "--lease-name", "other", "--identity", "second"):
        await until(lambda: holder(alone, "first"))
        await until(lambda: holder(alone, "second", "other"))
        assert await holder(alone, "first")


async def test_an_operator_that_loses_its_lease_ends(alone, start):
    with start("--lease-namespace", alone.namespace, "--identity", "first") as process:
        await until(lambda: holder(alone, "first"))
        await alone.patch(LEASES, "peft-fsdp-operator", {"spec": {"holderIdentity": "thief"}})

        async def ended():
            return process.poll() is not None

        await until(ended)
        assert process.returncode != 0


async def test_an_object_that_breaks_the_contract_is_reported_and_delays_nobody(alone, start, api_server):
    """Written when the CRD still allowed it: here, with the checks of the schema taken out for a moment."""
    loose = yaml.safe_load(crd_yaml())
    schema = loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema.pop("x-kubernetes-validations", None)
    schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    apply_crd(api_server, yaml.safe_dump(loose))
    try:
        await until(lambda: accepts_anything(alone, "old", {**job_body()["spec"], **WRONG}))
        await until(lambda: accepts_anything(alone, "older", WRONG))
        await until(lambda: accepts_anything(alone, "oldest", {**WRONG, "lora": "yes"}))
    finally:
        apply_crd(api_server, crd_yaml())
    with start("--no-election"):
        await alone.submit("good")
        await alone.until_pods("good-1-0", "good-1-1", name="good")

        stalled = condition(await until(lambda: conditions_of(alone, "old")), "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "SpecInvalid")
        assert "spec.training.batchSize" in stalled["message"]
        assert "spec.workers.nodes" in stalled["message"]
        without = await until(lambda: conditions_of(alone, "older"))  # a rule about a missing section breaks no write
        assert "spec.output: required" in condition(without, "Stalled")["message"]
        events = await until(lambda: alone.events("oldest"))  # a rule about a section of another type does
        assert "spec.lora: must be of type object" in events[0][1]


async def conditions_of(world, name):
    status = await world.status(name)
    return status if "conditions" in status else None


def apply_crd(api_server, text):
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)


WRONG = {"workers": {"nodes": "two"}, "training": {"batchSize": -1}}


async def accepts_anything(world, name, spec):
    body = {**job_body(name), "spec": spec}
    url = world.cluster._server + JOBS.path(world.namespace)
    async with world.cluster.session.post(url, json=body) as response:
        return response.status in (201, 409)


async def test_a_relist_after_lost_history_finds_what_was_deleted_meanwhile(alone):
    """kopf's own index keeps such pods for ever."""
    told, uid = [], (await alone.submit())["metadata"]["uid"]
    mirror = ChildReflector(alone.cluster, PODS, alone.namespace, see_pod, told.append)
    for worker in range(3):
        await alone.cluster.create(PODS, alone.namespace, labelled_pod(worker, uid))
    await mirror._relist()
    await alone.remove_by_force("tune-1-1")
    assert len(mirror) == 3
    await mirror._relist()
    assert [pod.worker for pod in mirror.owned_by(uid)] == [0, 2]
    assert told[-1].worker == 1


async def test_what_was_deleted_is_not_asked_for_again(alone):
    """The next pass may come before the watches tell that Service and ConfigMap are gone."""
    job, mirrors, asked = parse_job(await alone.submit()), Mirrors(), []
    for resource, see in ((SERVICES, see_service), (CONFIGMAPS, see_configmap)):
        mirrors.shared[resource, None] = ChildReflector(alone.cluster, resource, None, see, lambda _: None)
    children = Children(alone.cluster, mirrors, "image")
    await children.make(job, JobStatus(), (), True, datetime.now(UTC))
    alone.cluster.seen = asked.append
    await children.remove_shared(job)
    await children.remove_shared(job)
    asked_for = sorted((request.verb, request.resource) for request in asked)
    assert asked_for == [("delete", "configmaps"), ("delete", "services")]
    assert await alone.shared_versions() == []


async def test_an_old_answer_does_not_bring_a_deleted_pod_back(alone):
    uid = (await alone.submit())["metadata"]["uid"]
    mirror = ChildReflector(alone.cluster, PODS, alone.namespace, see_pod, lambda _: None)
    created = await alone.cluster.create(PODS, alone.namespace, labelled_pod(0, uid))
    await alone.remove_by_force("tune-1-0")
    await mirror._relist()
    mirror.remember(created)
    assert len(mirror) == 0


def labelled_pod(worker, uid):
    labels = {"app.kubernetes.io/managed-by": "peft-fsdp-operator"}
    labels |= {"training.peft-fsdp.io/attempt": "1", "training.peft-fsdp.io/worker": str(worker)}
    owner = {"apiVersion": "training.peft-fsdp.io/v1alpha1", "kind": "PeftFsdpJob", "name": "tune"}
    owners = [{**owner, "uid": uid, "controller": True}]
    metadata = {"name": f"tune-1-{worker}", "labels": labels, "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"containers": [{"name": "trainer", "image": "example"}]}}
