"""An API server that is away for a while: what happened meanwhile is seen, and jobs end as if it had been there."""

import asyncio

import pytest

from peft_fsdp_operator.cluster import JOBS
from tests.faults.life import live
from tests.faults.outage import PATIENCE, compact, kill_apiserver, start_apiserver, stop_apiserver
from tests.faults.site import open_sites

pytestmark = pytest.mark.apiserver

SECONDS, SHORT_SECONDS = 60, 5
LIVES, ELECTED = 8, 2
STEP = 1.2
"""Seconds from the beginning of one life to that of the next, so that each is at another point of it."""


async def test_lives_with_a_minute_without_an_api_server_end_as_lives_without(plane):
    """Killed with -9, so that requests under way are lost on either side. A leader that cannot renew its lease ends,
    and is started anew until it leads again; one without a lease lives on."""
    sites, leaders = open_sites(plane, LIVES + 1), open_sites(plane, ELECTED, elected=True)
    async with sites as (quiet, *plain), leaders as elected:
        lives = [asyncio.create_task(_begin_later(site, STEP * n)) for n, site in enumerate([*plain, *elected])]
        wanted = await live(quiet, "quiet")
        unended = [life for life in lives if not life.done()]
        await kill_apiserver(plane.instance)
        await asyncio.sleep(SECONDS)
        await start_apiserver(plane.instance)
        outcomes = await asyncio.gather(*lives)
        exits = [site.exits for site in plain], [site.exits > 0 for site in elected]
    assert [outcome for outcome in outcomes if outcome != wanted] == []
    assert len(unended) > LIVES / 2
    assert exits == ([0] * LIVES, [True] * ELECTED)


async def test_what_happens_while_the_api_server_is_away_is_seen_when_it_is_back(plane):
    """A pod and a job vanish while the operator is cut off; then its place in the history is gone as well."""
    async with open_sites(plane, 1) as (site,):
        world, eyes = site.world, plane.eyes
        uid = await site.submit("kept")
        removed = await site.submit("removed")
        for one in (uid, removed):
            await eyes.wait(one, lambda status: status.get("phase") == "Running")
        await site.proxy.refuse()
        await world.remove_by_force("kept-1-0")
        await world.delete(JOBS, "removed")
        await stop_apiserver(plane.instance)
        await compact(plane.instance)
        await asyncio.sleep(SHORT_SECONDS)
        await start_apiserver(plane.instance)
        await site.proxy.listen()
        again = await site.submit("removed")
        await eyes.wait(uid, lambda status: (status.get("phase"), status.get("attempt")) == ("Running", 2))
        for worker in range(2):
            await world.end_pod(f"kept-2-{worker}", 0)
        status = await eyes.wait(uid, lambda status: status.get("phase") == "Succeeded")
        assert status["restarts"] == {"application": 0, "infrastructure": 1, "preemption": 0}
        await eyes.wait(again, lambda status: status.get("phase") == "Running")


async def _begin_later(site, seconds):
    await asyncio.sleep(seconds)
    return await live(site, "cut", patience=PATIENCE)
