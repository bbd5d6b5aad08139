"""What a refusal of the API server costs it: how often the operator asks again while it lasts."""

import asyncio

import pytest

from peft_fsdp_operator.cluster import SERVICES
from tests.apiserver.operator.scrape import scrape
from tests.apiserver.operator.world import until
from tests.ports import free_port

pytestmark = pytest.mark.apiserver

REQUESTS = "peft_fsdp_operator_api_request_duration_seconds_count"
SECONDS = 8


async def requests(port, *verbs):
    """How many requests with these verbs were answered so far, those of the lists and watches of the start aside."""
    found = [(dict(labels), number) for (name, labels), number in (await scrape(port)).items() if name == REQUESTS]
    return sum(number for labels, number in found if labels["verb"] in verbs)


async def has_waiting(world, reason):
    waiting = (await world.status()).get("waiting") or {}
    return waiting if waiting.get("reason") == reason else None


async def test_a_service_of_somebody_else_is_asked_for_every_few_seconds_while_all_pods_run(alone, start):
    port = free_port()
    ports = [{"port": 80}]
    await alone.cluster.create(SERVICES, alone.namespace, {"metadata": {"name": "tune"}, "spec": {"ports": ports}})
    with start("--no-election", "--metrics-port", str(port)):
        await alone.submit()
        await alone.until_pods("tune-1-0", "tune-1-1")
        await until(lambda: has_waiting(alone, "NameTaken"))
        await alone.run_all()
        await alone.until_phase("Running")
        before = await requests(port, "create", "get", "patch")
        await asyncio.sleep(SECONDS)
        assert await requests(port, "create", "get", "patch") - before <= 2 * 2 + 2
        assert await has_waiting(alone, "NameTaken")
        await alone.remove_by_force("tune", SERVICES)
        await until(lambda: is_over(alone))
        assert await alone.find(SERVICES)


async def is_over(world):
    return "waiting" not in await world.status()


async def test_a_gang_that_waits_for_quota_asks_with_one_pod_and_comes_whole_when_it_may(alone, start, api_server):
    port = free_port()
    api_server.kubectl("create", "quota", "none", "--hard=pods=0", "-n", alone.namespace)
    with start("--no-election", "--metrics-port", str(port)):
        await alone.submit(nodes=8)
        await until(lambda: has_waiting(alone, "Forbidden"))
        before = await requests(port, "create")
        await asyncio.sleep(SECONDS)
        assert await requests(port, "create") - before <= 2
        assert "exceeded quota" in (await has_waiting(alone, "Forbidden"))["message"]
        api_server.kubectl("delete", "quota", "none", "-n", alone.namespace)
        await alone.until_pods(*(f"tune-1-{worker}" for worker in range(8)))
        await alone.until_phase("Starting")
