"""kill -9 of the operator before and after each write of a job's life, and errors at them: the end is the same."""

import asyncio

import pytest

from tests.faults.invariants import asked_twice, complaints, made_twice
from tests.faults.life import live
from tests.faults.points import record, try_all
from tests.faults.rules import BROKEN, BUSY, CONFLICT, INVALID, Drop, EverySecond, Hang, Kill
from tests.faults.site import open_sites
from tests.faults.trail import Trail

pytestmark = pytest.mark.apiserver

SITES = 12


async def test_a_kill_at_any_write_changes_nothing_about_the_end(plane):
    async with open_sites(plane, SITES) as sites:
        points, plain = await record(sites)
        assert all(outcome == plain[0] and not outcome.left_over for outcome in plain)
        assert len(points) > 40
        trials = await try_all(sites, [(point, fault) for point in points for fault in (Kill(), Kill(after=True))])
        struck = sum(trial.struck for trial in trials)
        assert struck >= 0.9 * len(trials)
        assert sum(site.kills for site in sites) >= struck
        assert sum(site.exits for site in sites) == 0
    told = [complaint for trial in trials if (complaint := trial.complaint(plain[0]))]
    assert told + audit_complaints(plane, sites) == []


async def test_an_error_at_the_first_try_of_every_write_changes_nothing_about_the_end(plane):
    faults = [CONFLICT, INVALID, BUSY, BROKEN, Drop(), Drop(after=True), Hang(after=True)]
    rules = [EverySecond("troubled", fault, offset) for fault in faults for offset in (0, 1)]
    async with open_sites(plane, 1, patient=True) as (quiet,), open_sites(plane, len(rules)) as faulty:
        for site, rule in zip(faulty, rules, strict=True):
            site.proxy.rules = [rule]
        wanted, *outcomes = await asyncio.gather(live(quiet, "quiet"), *(live(site, "troubled") for site in faulty))
    assert [(rule.fault, outcome) for rule, outcome in zip(rules, outcomes, strict=True) if outcome != wanted] == []
    assert all(rule.struck > 15 for rule in rules)
    assert audit_complaints(plane, [quiet, *faulty]) == []
    assert [pod for story in stories(plane, [quiet]) for pod in asked_twice(story)] == []


def audit_complaints(plane, sites):
    found = []
    for story in stories(plane, sites):
        told = complaints(story, {})
        found += [f"{story[0].name}: {one}" for one in [*told, *made_twice(story)]]
    return found


def stories(plane, sites):
    trail, namespaces = Trail(plane.instance.audit_log), {site.namespace for site in sites}
    trail.read()
    found = [trail.story(uid) for uid in trail.stories]
    return [story for story in found if story[0].content["metadata"]["namespace"] in namespaces]
