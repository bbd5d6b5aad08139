"""Others write where the operator writes: they took its names, edit its objects, or change a job at the same moment."""

import asyncio
import json

import pytest

from peft_fsdp_operator.cluster import CONFIGMAPS, JOBS, SERVICES
from tests.apiserver.operator.world import until

pytestmark = pytest.mark.apiserver
PODS = ("tune-1-0", "tune-1-1")


@pytest.mark.parametrize(
    ("resource", "body"), [(SERVICES, {"spec": {"ports": [{"port": 1}]}}), (CONFIGMAPS, {"data": {"theirs": "1"}})]
)
async def test_a_name_that_is_taken_is_told_and_used_once_it_is_free(world, resource, body):
    made = await world.cluster.create(resource, world.namespace, {"metadata": {"name": "tune"}, **body})
    await world.submit()
    waiting = await until(lambda: waits_for_a_name(world))
    assert f"{resource.kind} tune exists and does not belong to this job" in waiting["message"]
    assert (await world.find(resource))["metadata"]["uid"] == made["metadata"]["uid"]
    await world.remove_by_force("tune", resource)
    await until(lambda: is_ours(world, resource))


async def waits_for_a_name(world):
    waiting = (await world.status()).get("waiting") or {}
    return waiting if waiting.get("reason") == "NameTaken" else None


async def is_ours(world, resource):
    found = await world.find(resource)
    return found is not None and found["metadata"].get("ownerReferences")


async def test_a_configuration_that_was_edited_is_put_right(world):
    await world.submit()
    await world.until_pods(*PODS)
    await until(lambda: is_ours(world, CONFIGMAPS))
    before = (await world.find(CONFIGMAPS))["data"]
    await world.patch(CONFIGMAPS, "tune", {"data": {"config.json": "{}"}})

    async def right():
        return (await world.find(CONFIGMAPS))["data"] == before

    await until(right)


async def test_a_job_that_changes_while_its_status_is_written_is_read_anew(world, api_server):
    await world.submit()
    await world.until_pods(*PODS)

    async def collided():
        """Changes that call for a new status, each with others on its heels."""
        await world.patch(JOBS, "tune", {"spec": {"activeDeadline": "1h"}})
        changes = [world.patch(JOBS, "tune", {"metadata": {"labels": {"n": str(n)}}}) for n in range(8)]
        await asyncio.gather(*changes, world.patch(JOBS, "tune", {"spec": {"activeDeadline": "2h"}}))
        return read_by_operator(api_server.audit_log, world.namespace)

    await until(collided)

    async def caught_up():
        job = await world.job()
        return job["status"]["observedGeneration"] == job["metadata"]["generation"]

    await until(caught_up)


def read_by_operator(audit_log, namespace):
    """Whether an operator asked for the job by name, which it does after a conflict alone."""
    for line in audit_log.read_text().splitlines():
        if '"peftfsdpjobs"' in line and namespace in line:
            event = json.loads(line)
            if event["verb"] == "get" and event["userAgent"].startswith("peft-fsdp-operator/"):
                return True
    return False
