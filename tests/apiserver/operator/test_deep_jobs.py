"""A job nested deeper than Python can read: the API server takes it, and the operator must not choke on it."""

import json

import pytest

from peft_fsdp_operator.cluster import JOBS
from tests.apiserver.operator.world import condition, job_body, until

pytestmark = pytest.mark.apiserver
LEVELS = (40, 240, 980, 1100, 4000, 9900)
"""Just beyond: what we allow, what orjson writes, json reads, orjson reads, json reads at best; all that there is."""


@pytest.mark.parametrize("operator_first", [True, False], ids=["watched", "listed"])
async def test_a_job_that_is_nested_too_deeply_is_reported_and_delays_nobody(alone, start, operator_first):
    if not operator_first:
        await submit_all(alone)
    with start("--no-election") as process:
        if operator_first:
            await alone.submit("first", 1)
            await alone.until_pods("first-1-0", name="first")
            await submit_all(alone)
        await alone.submit("good", 1)
        await alone.until_pods("good-1-0", name="good")
        for levels in LEVELS:
            messages = await until(lambda name=f"deep-{levels}": told(alone, name))
            assert "spec.workers.affinity: is nested more than 32 levels deep" in messages
        assert process.poll() is None


async def submit_all(world):
    for levels in LEVELS:
        body = json.dumps(
            {**job_body(f"deep-{levels}"), "spec": {**job_body()["spec"], "workers": {"affinity": "DEEP"}}}
        )
        deep = '{"a":' * levels + "1" + "}" * levels
        url, headers = world.cluster._server + JOBS.path(world.namespace), {"Content-Type": "application/json"}
        async with world.cluster.session.post(url, data=body.replace('"DEEP"', deep), headers=headers) as response:
            assert response.status == 201, (await response.text())[:300]


async def told(world, name):
    """The message of Stalled. The tests read with the operator's client, which cuts off what is too deep."""
    status = await world.status(name)
    return condition(status, "Stalled")["message"] if "conditions" in status else ""
