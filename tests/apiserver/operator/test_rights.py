"""The operator asks the API server for nothing that its Role does not grant."""

import json

import pytest

from peft_fsdp_operator.cluster import JOBS, RIGHTS
from tests.apiserver.operator.world import until

pytestmark = pytest.mark.apiserver


async def test_every_request_of_the_operator_is_declared(world, api_server):
    await world.submit()
    await world.until_pods("tune-1-0", "tune-1-1")
    await world.patch(JOBS, "tune", {"spec": {"suspend": True}})
    await world.until_phase("Suspended")
    made = await until(lambda: requests(api_server.audit_log, world.namespace))
    undeclared = {(target, verb) for target, verb in made if verb not in RIGHTS.get(target, ())}
    assert not undeclared
    assert (("", "pods"), "delete") in made


async def requests(audit_log, namespace):
    found = set()
    for line in audit_log.read_text().splitlines():
        event = json.loads(line)
        target = event.get("objectRef")
        ours = event.get("userAgent", "").startswith("peft-fsdp-operator/")
        if ours and target and target.get("namespace") == namespace:
            parts = [target["resource"], target.get("subresource")]
            resource = "/".join(part for part in parts if part)
            found.add(((target.get("apiGroup", ""), resource), event["verb"]))
    return found
