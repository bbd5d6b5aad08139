"""What the launchers tell, from their answers over HTTP to the status on the real API server."""

import pytest

from peft_fsdp_operator.cluster import JOBS
from tests.apiserver.operator.launchers import launchers
from tests.apiserver.operator.world import condition, until

pytestmark = pytest.mark.apiserver
PODS = ("tune-1-0", "tune-1-1")


async def test_a_gang_that_hangs_is_told_and_restarted_where_the_job_says_so(world):
    async with launchers(2) as (first, second):
        await world.submit(stallTimeout="1s")
        await world.until_pods(*PODS)
        await world.run_pod(PODS[0], first.ip)
        await world.run_pod(PODS[1], second.ip)
        await until(lambda: at_step(world, 1))
        first.move()
        second.move()
        await until(lambda: at_step(world, 2))
        assert condition(await world.status(), "Ready")["status"] == "True"
        first.move()  # the last sign of life is the first worker's
        told = await until(lambda: stalled(world), world.status, seconds=60)
        assert (told["reason"], "slowest is rank 1 of worker 1" in told["message"]) == ("NoProgress", True)
        status = await world.status()
        assert (status["phase"], status["progress"]["slowestRank"]) == ("Running", 1)
        await world.patch(JOBS, "tune", {"spec": {"stallAction": "restart"}})
        await world.until_pods("tune-2-0", "tune-2-1")
        failure = (await world.status())["lastFailure"]
        assert (failure["reason"], failure["pod"], failure["rank"]) == ("NoProgress", "tune-1-1", 1)


@pytest.mark.parametrize(
    "figures", ['"remainingSeconds": 1e300', '"remainingSeconds": NaN', '"loss": NaN, "tokensPerSecond": Infinity']
)
async def test_a_launcher_that_talks_nonsense_costs_the_operator_nothing(world, figures):
    async with launchers(2) as (first, second):
        rank = f'{{"rank": 0, "stage": "train", "heartbeat": "{first.heartbeat}"}}'
        training = f'{{"step": 1, "totalSteps": 9, {figures}}}'
        first.said = f'{{"attempt": 1, "nodeRank": 0, "ranks": [{rank}], "training": {training}}}'
        await world.submit()
        await world.until_pods(*PODS)
        await world.run_pod(PODS[0], first.ip)
        await world.run_pod(PODS[1], second.ip)
        await until(lambda: told_of_rank(world, 0 if "1e300" not in figures else 1), world.status)
        first.said, first.step = None, 7
        await until(lambda: at_step(world, 7), world.status)


async def told_of_rank(world, rank):
    return ((await world.status()).get("progress") or {}).get("slowestRank") == rank


async def at_step(world, step):
    return ((await world.status()).get("progress") or {}).get("step") == step


async def stalled(world):
    found = condition(await world.status(), "Stalled")
    return found if found["status"] == "True" else None
