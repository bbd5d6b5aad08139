"""A namespace in which every write takes twenty seconds, as behind a webhook that is about to time out, and another one
that must not notice: neither its jobs nor the Lease wait for it."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from peft_fsdp_operator.cluster import LEASES
from peft_fsdp_operator.election import LeaseTimes
from tests.apiserver.operator.world import World, operator_process
from tests.faults.eyes import until
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Match, Rule, Slow

pytestmark = pytest.mark.apiserver

ALWAYS = 10**6
GANGS = {f"gang-{number}": 20 for number in range(3)} | {f"small-{number}": 1 for number in range(16)}
SLOW = 20.0


@asynccontextmanager
async def two_worlds(plane):
    names = [f"{kind}-{uuid4().hex[:8]}" for kind in ("slow", "quick")]
    for name in names:
        await asyncio.to_thread(plane.instance.kubectl, "create", "namespace", name)
    worlds = [World(plane.cluster, name) for name in names]
    for world in worlds:
        await world.make_claim()
    yield worlds
    for name in names:
        await asyncio.to_thread(plane.instance.kubectl, "delete", "namespace", name, "--wait=false")


async def test_slow_gangs_hold_up_neither_another_namespace_nor_the_lease(plane, tmp_path):
    proxy = FaultProxy(plane.credentials, kill=lambda: None)
    proxy.rules = [Rule(Match("create", "pods", job=name), Slow(SLOW), times=ALWAYS) for name in GANGS]
    await proxy.start()
    config = proxy.write_kubeconfig(tmp_path / "kubeconfig")
    async with two_worlds(plane) as (slow, quick):
        flags = ("--namespace", slow.namespace, "--lease-namespace", quick.namespace, "--identity", "leader")
        with operator_process(config, quick.namespace, tmp_path / "log", *flags) as process:
            for name, nodes in GANGS.items():
                await slow.submit(name, nodes)
            await until(lambda: sum(rule.struck for rule in proxy.rules) >= 32)
            await quick.submit("tune", nodes=4)
            await quick.until_phase("Starting")
            assert await slow.pods("gang-0") == {}  # otherwise this machine was too slow to show anything
            before = await renewed(quick)
            await asyncio.sleep(LeaseTimes.deadline + 2)
            assert await renewed(quick) > before
            assert process.poll() is None
            process.terminate()
            await until(lambda: process.poll() is not None)  # the proxy has to run meanwhile
    await proxy.close()


async def renewed(world):
    return (await world.find(LEASES, "peft-fsdp-operator"))["spec"]["renewTime"]
