"""Deadlines, time to live and clean-up are kept by the job, not by the operator that began to count."""

import asyncio
import signal

import pytest

from peft_fsdp_operator.cluster import JOBS
from peft_fsdp_operator.times import read_time
from tests.apiserver.operator.world import until

pytestmark = pytest.mark.apiserver
DOWN_SECONDS = 3
"""How long no operator runs; the clocks below run out in that time."""


async def begin(world, name):
    await world.submit(name, nodes=1)
    await world.until_pods(f"{name}-1-0", name=name)


async def run(world, *names):
    for name in names:
        await world.run_all(name)
        await world.until_phase("Running", name)


async def test_the_clocks_of_a_job_go_on_while_no_operator_runs(alone, start):
    with start("--no-election") as process:
        for name in ("starts", "runs", "lives", "cleans"):
            await begin(alone, name)
        await run(alone, "runs", "lives", "cleans")
        await alone.end_pod("lives-1-0", 0)
        await alone.until_phase("Succeeded", "lives")
        process.send_signal(signal.SIGKILL)
        process.wait()
    for name, change in {
        "starts": {"startDeadline": "1s"},
        "runs": {"activeDeadline": "1s"},
        "lives": {"ttlAfterFinished": "1s"},
        "cleans": {"cleanup": "delete"},
    }.items():
        await alone.patch(JOBS, name, {"spec": change})
    await alone.end_pod("cleans-1-0", 0)
    await asyncio.sleep(DOWN_SECONDS)
    with start("--no-election"):
        started = await alone.until_phase("Failed", "starts")
        ran = await alone.until_phase("Failed", "runs")
        for name in ("starts", "runs", "lives", "cleans"):
            await alone.until_pods(name=name)
        await until(lambda: nothing_shared(alone, "lives"))
        assert (await alone.status("lives"))["phase"] == "Succeeded"
        assert (await alone.status("cleans"))["phase"] == "Succeeded"
    assert started["lastFailure"]["reason"] == "StartDeadlineExceeded"
    assert ran["lastFailure"]["reason"] == "ActiveDeadlineExceeded"
    assert ran["activeSeconds"] >= DOWN_SECONDS


async def nothing_shared(world, name):
    return await world.shared_versions(name) == []


async def test_time_to_live_is_not_over_sooner_because_the_operator_was_restarted(alone, start):
    with start("--no-election"):
        await begin(alone, "lives")
        await run(alone, "lives")
        await alone.patch(JOBS, "lives", {"spec": {"ttlAfterFinished": "1h"}})
        await alone.end_pod("lives-1-0", 0)
        ended = await alone.until_phase("Succeeded", "lives")
    with start("--no-election"):
        await asyncio.sleep(1)
        assert set(await alone.pods("lives")) == {"lives-1-0"}
        assert await alone.status("lives") == ended


async def test_suspended_time_is_not_active_time(world):
    await begin(world, "tune")
    await run(world, "tune")
    await world.patch(JOBS, "tune", {"spec": {"suspend": True}})
    active = (await world.until_phase("Suspended"))["activeSeconds"]
    await asyncio.sleep(2)
    await world.patch(JOBS, "tune", {"spec": {"suspend": False}})
    await world.until_pods("tune-2-0")
    await run(world, "tune")
    resumed = await world.status()
    assert resumed["activeSeconds"] == active
    await world.patch(JOBS, "tune", {"spec": {"activeDeadline": f"{active + 1}s"}})
    failed = await world.until_phase("Failed")
    assert failed["lastFailure"]["reason"] == "ActiveDeadlineExceeded"
    ran = read_time(failed["completionTime"]) - read_time(resumed["runningSince"])
    assert abs(failed["activeSeconds"] - active - ran.total_seconds()) <= 1
