"""Jobs for which nothing works, side by side with one that must not notice."""

import asyncio

import pytest

from tests.faults.life import live
from tests.faults.rules import BROKEN, BUSY, INVALID, Drop, Hang, Match, Rule, Slow
from tests.faults.site import open_sites

pytestmark = pytest.mark.apiserver

POISONED = [f"poisoned-{number}" for number in range(5)]
ALWAYS = 10**6
FAULTS = (INVALID, BUSY, BROKEN, Hang(), Drop(), Drop(after=True), Slow(1.5))


async def test_jobs_whose_writes_all_fail_leave_the_others_alone_and_go_on_when_they_can(plane):
    async with open_sites(plane, len(FAULTS) + 1) as (quiet, *faulty):
        wanted, *outcomes = await asyncio.gather(
            live(quiet, "healthy"), *(_live_beside(site, fault) for site, fault in zip(faulty, FAULTS, strict=True))
        )
        assert [fault for fault, outcome in zip(FAULTS, outcomes, strict=True) if outcome != wanted] == []
        assert sum(site.exits for site in faulty) == 0


async def _live_beside(site, fault):
    rules = [Rule(Match(job=name, writes=True), fault, times=ALWAYS) for name in POISONED]
    site.proxy.rules = list(rules)
    uids = [await site.submit(name, nodes=1) for name in POISONED]
    outcome = await live(site, "healthy")
    assert all(rule.struck for rule in rules)
    site.proxy.rules = []
    for uid in uids:
        await site.plane.eyes.wait(uid, lambda status: status.get("phase") == "Running")
    return outcome
