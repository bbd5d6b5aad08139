"""A policy of the cluster that lets no pod be deleted: the job says so, and goes on once it may."""

import asyncio
import json
from contextlib import contextmanager

import pytest

from peft_fsdp_operator.cluster import JOBS
from tests.apiserver.operator.test_refusals import has_waiting, requests
from tests.apiserver.operator.world import condition, until
from tests.ports import free_port

pytestmark = pytest.mark.apiserver
SECONDS = 8
SAID = "pods of this team are deleted by nobody"


@contextmanager
def policy(api_server, namespace):
    """In force a moment after it was made."""
    matches = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]}]
    version = "admissionregistration.k8s.io/v1"
    validations = [{"expression": "false", "message": SAID, "reason": "Forbidden"}]
    specs = {
        "ValidatingAdmissionPolicy": {"matchConstraints": {"resourceRules": rules}, "validations": validations},
        "ValidatingAdmissionPolicyBinding": {
            "policyName": namespace,
            "matchResources": matches,
            "validationActions": ["Deny"],
        },
    }
    for kind, spec in specs.items():
        manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": namespace}, "spec": spec}
        api_server.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    try:
        yield
    finally:
        for kind in specs:
            api_server.kubectl("delete", kind, namespace)


async def is_in_force(world):
    """A pod that cannot be deleted even on trial."""
    url = f"{world.cluster._server}/api/v1/namespaces/{world.namespace}/pods/tune-1-0?dryRun=All"
    async with world.cluster.session.delete(url) as response:
        return response.status == 403


async def test_the_status_says_why_the_next_attempt_does_not_follow(alone, start, api_server):
    port = free_port()
    with start("--no-election", "--metrics-port", str(port)):
        await alone.submit(nodes=4)
        await alone.until_pods(*(f"tune-1-{worker}" for worker in range(4)))
        await alone.run_all()
        await alone.until_phase("Running")
        with policy(api_server, alone.namespace):
            await until(lambda: is_in_force(alone))
            await alone.end_pod("tune-1-1", 1, "boom")
            waiting = await until(lambda: has_waiting(alone, "Forbidden"))
            assert SAID in waiting["message"]
            status = await alone.status()
            assert (status["phase"], status["lastFailure"]["reason"]) == ("Restarting", "ApplicationError")
            assert SAID in condition(status, "Reconciling")["message"]
            before = await requests(port, "delete")
            await asyncio.sleep(SECONDS)
            assert await requests(port, "delete") - before <= 2
        await alone.until_pods(*(f"tune-2-{worker}" for worker in range(4)))
        await alone.until_phase("Starting")
        assert not await has_waiting(alone, "Forbidden")


async def test_a_job_that_ends_says_what_is_left_of_it(alone, start, api_server):
    with start("--no-election"):
        await alone.submit(restart={"application": {"limit": 0}})
        await alone.until_pods("tune-1-0", "tune-1-1")
        await alone.run_all()
        with policy(api_server, alone.namespace):
            await until(lambda: is_in_force(alone))
            await alone.end_pod("tune-1-1", 1, "boom")
            waiting = await until(lambda: has_waiting(alone, "Forbidden"))
            assert (waiting["worker"], (await alone.status())["phase"]) == (0, "Failed")
        await until(lambda: is_over(alone))
        assert set(await alone.pods()) == {"tune-1-1"}
    await alone.delete(JOBS, "tune")


async def is_over(world):
    return "waiting" not in await world.status()
