"""A request to make a pod that is on its way for so long that it arrives after the end of its attempt, or of its job:
nothing can prevent that, and the operator must remove the pod at once."""

import pytest

from tests.faults.eyes import until
from tests.faults.rules import Late, Match, Rule
from tests.faults.site import open_sites

pytestmark = pytest.mark.apiserver

LONG = 600.0


@pytest.mark.parametrize("kill", [False, True])
async def test_a_pod_that_comes_after_the_end_of_its_job_is_removed(plane, kill):
    """Of an operator that gave up waiting, or of one that is no more."""
    async with open_sites(plane, 1) as (site,):
        site.proxy.rules = [Rule(Match(point="create pods 1-0"), Late(LONG, kill))]
        uid = await site.submit(nodes=1, ttlAfterFinished="1s")
        await plane.eyes.wait(uid, lambda status: status.get("phase") == "Running")
        await site.world.end_pod("tune-1-0", 0)
        await plane.eyes.wait(uid, lambda status: status.get("phase") == "Succeeded")
        await site.until_no_pods()
        site.proxy.let_arrive()
        await until(lambda: site.proxy.late)
        await site.until_no_pods()
        assert plane.eyes.status(uid)["phase"] == "Succeeded"
    assert site.judge(uid) == []


async def test_a_pod_that_comes_while_a_later_attempt_runs_is_removed(plane):
    async with open_sites(plane, 1) as (site,):
        site.proxy.rules = [Rule(Match(point="create pods 1-1"), Late(LONG))]
        uid = await site.submit(nodes=2)
        await plane.eyes.wait(uid, lambda status: status.get("phase") == "Running")
        await site.world.end_pod("tune-1-0", 1, "boom")
        before = await plane.eyes.wait(uid, lambda one: (one.get("phase"), one["attempt"]) == ("Running", 2))
        site.proxy.let_arrive()
        await until(lambda: site.proxy.late)
        await until(lambda: {pod.attempt for pod in plane.kubelets.pods_of(uid)} == {2})
        assert plane.eyes.status(uid)["restarts"] == before["restarts"]
        assert plane.eyes.status(uid)["phase"] == "Running"
    assert site.judge(uid) == []
