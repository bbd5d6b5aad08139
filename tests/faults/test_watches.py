"""Watches that break, histories that are gone, old lists, slow answers."""

import asyncio

import pytest

from peft_fsdp_operator.cluster import JOBS
from tests.faults.eyes import until
from tests.faults.life import live
from tests.faults.rules import (
    BROKEN,
    BUSY,
    HOLLOW,
    NOT_FOUND,
    PAGE,
    TRUNCATED,
    UNAVAILABLE,
    CutWatch,
    Drop,
    ErrorWatch,
    GoneWatch,
    Hang,
    Match,
    Rule,
    Slow,
    Stale,
)
from tests.faults.site import open_sites

pytestmark = pytest.mark.apiserver

ALWAYS = 10**6
WATCHED = ("pods", "services", "configmaps", "peftfsdpjobs")
MIRRORED = (*WATCHED, "nodes")
ERRORS = (BUSY, BROKEN, UNAVAILABLE, Drop())
# Of several rules for the same requests one strikes after the other.
MANY_CUTS = [Rule(Match("watch", kind), CutWatch(events), times=2) for kind in WATCHED for events in (0, 3)]
GONE = [Rule(Match("watch", kind), GoneWatch(as_event), times=2) for kind in WATCHED for as_event in (True, False)]
REFUSED = [
    *(Rule(Match("watch", kind), fault) for kind in WATCHED for fault in ERRORS),
    *(Rule(Match("watch", kind), Hang()) for kind in WATCHED[:-1]),
]
"""The watches of the children's mirrors may also hang; kopf gives its own a minute to begin."""
FAILING_READS = [Rule(Match(verb), fault) for verb in ("get", "list") for fault in (*ERRORS, Hang())]
TOLD_ERRORS = [Rule(Match("watch", kind), ErrorWatch(code)) for kind in MIRRORED for code in (500, 403)]
GARBAGE = [
    *(Rule(Match("watch", kind), fault) for kind in MIRRORED for fault in (PAGE, TRUNCATED, HOLLOW)),
    *(Rule(Match("list", kind), fault) for kind in MIRRORED for fault in (PAGE, HOLLOW)),
    *(Rule(Match(verb, "peftfsdpjobs"), NOT_FOUND) for verb in ("watch", "list")),
    *(Rule(Match("get"), fault) for fault in (PAGE, TRUNCATED, NOT_FOUND)),
]
"""After each kind of garbage in a watch its mirror lists again, and gets garbage once more."""
SLOW = [Rule(Match(), Slow(0.2), times=ALWAYS)]
STALE = [
    Rule(Match("list"), Stale(), times=ALWAYS),
    *(Rule(Match("watch", kind), GoneWatch(), times=3) for kind in WATCHED),
]


async def test_broken_watches_and_old_lists_change_nothing_about_the_end(plane):
    troubles = {
        "cut": MANY_CUTS,
        "gone": GONE,
        "refused": REFUSED,
        "reads": FAILING_READS,
        "errors": TOLD_ERRORS,
        "garbage": GARBAGE,
        "slow": SLOW,
        "stale": STALE,
    }
    async with open_sites(plane, len(troubles) + 1) as (quiet, *sites):
        for site, rules in zip(sites, troubles.values(), strict=True):
            site.proxy.rules = rules
            await site.proxy.break_all()
        wanted, *outcomes = await asyncio.gather(live(quiet, "quiet"), *(live(site, "troubled") for site in sites))
    assert {name: outcome for name, outcome in zip(troubles, outcomes, strict=True) if outcome != wanted} == {}
    assert [(name, rule) for name, rules in troubles.items() for rule in rules if not rule.struck] == []
    assert sum(site.exits for site in sites) == 0


async def test_a_job_that_is_deleted_while_the_history_is_gone_is_forgotten(plane):
    """Told by an event or by the code of the answer; the operator lives on and serves the other jobs."""
    async with open_sites(plane, 2) as sites:
        await asyncio.gather(
            *(_delete_unseen(site, as_event) for site, as_event in zip(sites, (True, False), strict=True))
        )


async def _delete_unseen(site, as_event):
    uids = [await site.submit(name) for name in ("kept", "deleted")]
    for uid in uids:
        await site.plane.eyes.wait(uid, lambda status: status.get("phase") == "Running")
    await asyncio.sleep(1.5)  # a write that is still due finds out by itself, as it may on a busy machine
    gone = Rule(Match("watch", "peftfsdpjobs"), GoneWatch(as_event))
    site.proxy.rules = [gone]
    await site.proxy.refuse()
    await site.world.delete(JOBS, "deleted")
    await site.proxy.listen()
    await until(lambda: gone.struck)
    await until(lambda: any("/deleted" in line for line in _forgotten(site)))
    for worker in range(2):
        await site.world.end_pod(f"kept-1-{worker}", 0)
    await site.plane.eyes.wait(uids[0], lambda status: status.get("phase") == "Succeeded")
    assert site.exits == 0
    assert all("/deleted" in line for line in _forgotten(site))


def _forgotten(site):
    words = ("deleted unnoticed", "deleted meanwhile")
    return [line for line in site.log.read_text().splitlines() if any(word in line for word in words)]
