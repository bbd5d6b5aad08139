"""Every write of a job's life, and the same life with a fault at one of them.

The points are recorded from lives without faults, not written down here: a new kind of write is covered by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.life import Outcome, live
from tests.faults.rules import Fault, Match, Rule
from tests.faults.site import Site

TRIES = 3
"""Writes that depend on timing, such as a second `delete` of the same pod, do not come in every life."""


@dataclass(frozen=True)
class Point:
    """The `number`-th write of this kind in a life; `steady` if every life has it.

    A repeat never counts as steady: whether the same is asked again may hang on which of two watches is the faster, in
    a dozen lives one way and in all others the other way.
    """

    write: str
    number: int
    steady: bool

    def __str__(self) -> str:
        return f"{self.write} #{self.number}"


@dataclass(frozen=True)
class Trial:
    """A life with a fault. `outcome` is None where it got stuck."""

    name: str
    what: str
    struck: bool
    must_strike: bool
    outcome: Outcome | None

    def complaint(self, wanted: Outcome) -> str | None:
        """What is wrong with it, or None."""
        if self.outcome is None:
            return f"{self.what}: the job {self.name} is stuck"
        if self.outcome != wanted:
            return f"{self.what}: the job {self.name} ended as {self.outcome}"
        if self.must_strike and not self.struck:
            return f"{self.what}: the fault never struck"
        return None


async def record(sites: Sequence[Site]) -> tuple[list[Point], list[Outcome]]:
    """The points of lives without faults, one per site, in the order of their first appearance; and how they ended."""
    outcomes = await asyncio.gather(*(live(site, f"plain-{number}") for number, site in enumerate(sites)))
    counts = [Counter(one.point for one in site.proxy.writes if one.job) for site in sites]
    seen = dict.fromkeys(one.point for site in sites for one in site.proxy.writes if one.job)
    points = [
        Point(write, number, steady=number == 1 and all(count[write] for count in counts))
        for write in seen
        for number in range(1, max(count[write] for count in counts) + 1)
    ]
    return points, list(outcomes)


async def try_all(sites: Sequence[Site], trials: Iterable[tuple[Point, Fault]]) -> list[Trial]:
    """A life for each, as many at once as there are sites."""
    waiting = list(enumerate(trials))[::-1]
    done: list[Trial] = []

    async def work(site: Site) -> None:
        while waiting:
            number, (point, fault) = waiting.pop()
            done.append(await _try(site, number, point, fault))

    await asyncio.gather(*(work(site) for site in sites))
    return done


async def _try(site: Site, number: int, point: Point, fault: Fault) -> Trial:
    trial = None
    for again in range(TRIES):
        name = f"life-{number}-{again}"
        rule = Rule(Match(job=name, point=point.write), fault, first=point.number)
        trial = await try_once(site, name, rule, f"{fault} at {point}", point.steady)
        if trial.struck or trial.outcome is None:
            break
    assert trial is not None
    return trial


async def try_once(site: Site, name: str, rule: Rule, what: str, must_strike: bool) -> Trial:
    """One life in which one rule holds."""
    site.proxy.rules = [rule]
    try:
        outcome = await live(site, name)
    except TimeoutError:
        outcome = None
    finally:
        site.proxy.rules = []
    return Trial(name, f"{site.namespace}: {what}", rule.struck > 0, must_strike, outcome)
