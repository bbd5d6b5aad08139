"""An operator that comes back is shown old versions of a job, one after the other: it must act on none of them."""

import asyncio

import pytest

from tests.faults.eyes import until
from tests.faults.rules import Kill, Match, Rule, Slow, Stale
from tests.faults.site import open_sites

pytestmark = pytest.mark.apiserver

ALWAYS = 10**6


async def test_an_old_version_that_is_followed_by_the_newest_one_makes_no_pod(plane):
    """An attempt was announced, its pod made, ended and cleaned up. Then the version of the announcement comes again,
    and while the operator looks at the claims, all that has happened since."""
    async with open_sites(plane, 1) as (site,):
        site.proxy.rules = [Rule(Match(point="create pods 1-0"), Kill())]
        first = Rule(Match("watch", "peftfsdpjobs"), Slow(0))
        site.proxy.rules.append(first)
        await until(lambda: first.struck)
        site.proxy.forget_lists()  # the next answer, of the operator after the kill, holds the announcement
        uid = await site.submit(nodes=1, ttlAfterFinished="1s")
        await plane.eyes.wait(uid, lambda status: status.get("phase") == "Running")
        await site.world.end_pod("tune-1-0", 0)
        await plane.eyes.wait(uid, lambda status: status.get("phase") == "Succeeded")
        await site.until_no_pods()
        stale = Rule(Match("list", "peftfsdpjobs"), Stale(), times=2)
        slow = Rule(Match("get", "persistentvolumeclaims"), Slow(1.0), times=ALWAYS)
        site.proxy.rules = [stale, slow]
        site.kill()
        await until(lambda: slow.struck)
        await asyncio.sleep(2)
        assert stale.struck == 2
    assert site.judge(uid) == []
