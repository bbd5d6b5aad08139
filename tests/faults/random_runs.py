"""Many random lives, so many at once, judged by the API server's audit log while it grows."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from peft_fsdp_operator.cluster import PODS
from tests.faults.invariants import complaints
from tests.faults.plans import make_plan
from tests.faults.random_life import RandomLife
from tests.faults.site import Plane, Site
from tests.faults.trail import Trail

JUDGE_INTERVAL = 5.0
ORPHAN_SECONDS = 90.0


@dataclass
class Report:
    """What came of it. `violations` name their seeds."""

    runs: int = 0
    violations: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    exits: int = 0
    seconds: float = 0.0

    def summary(self) -> str:
        return (
            f"{self.runs} runs in {self.seconds:.0f} s: {len(self.violations)} violations; ends {dict(self.ends)}; "
            f"{sum(self.faults.values())} faults {dict(self.faults)}; {self.kills} kills, {self.exits} exits"
        )


class RandomRuns:
    """`seeds` are lived by `jobs` at a time."""

    def __init__(self, plane: Plane, sites: Sequence[Site], say: Callable[[str], None] = print) -> None:
        self._plane, self._sites, self._say = plane, sites, say
        self._trail = Trail(plane.instance.audit_log)
        self._ended: list[RandomLife] = []
        self.report = Report()

    async def run(self, seeds: Sequence[int], jobs: int) -> Report:
        started, left = time.monotonic(), iter(seeds)
        # Long enough for a second attempt to begin beside the first, if nothing kept it from that.
        self._plane.kubelets.start_seconds, self._plane.kubelets.stop_seconds = 0.1, 0.4
        judge = asyncio.create_task(self._judge_now_and_then())
        async with asyncio.TaskGroup() as workers:
            for number in range(jobs):
                workers.create_task(self._work(self._sites[number % len(self._sites)], left))
        judge.cancel()
        await self._find_orphans()
        self._judge(self._ended)
        self.report.kills = sum(site.kills for site in self._sites)
        self.report.exits = sum(site.exits for site in self._sites)
        self.report.seconds = time.monotonic() - started
        return self.report

    async def _work(self, site: Site, seeds: Iterator[int]) -> None:
        for seed in seeds:
            life = RandomLife(site, make_plan(seed))
            await life.run()
            self.report.runs += 1
            self.report.faults.update(type(rule.fault).__name__ for rule in life.rules if rule.struck)
            self.report.ends["Stuck" if life.complaint else life.end] += 1
            if life.complaint:
                self._violated(life, life.complaint)
            self._ended.append(life)

    async def _judge_now_and_then(self) -> None:
        while True:
            ready, self._ended = self._ended, []
            await asyncio.sleep(JUDGE_INTERVAL)  # the operator may still write about a job that is gone
            self._judge(ready)

    def _judge(self, lives: Sequence[RandomLife]) -> None:
        self._trail.read()
        for life in lives:
            story, late = self._trail.story(life.uid), life.site.proxy.late
            for complaint in complaints(story, self._trail.lost_nodes, late):
                self._violated(life, complaint)
            self._trail.forget(life.uid)

    async def _find_orphans(self) -> None:
        """The garbage collector takes the children of removed jobs; what it cannot find an owner for stays."""
        left: list[str] = []
        end = time.monotonic() + ORPHAN_SECONDS
        while time.monotonic() < end:
            left = [name for site in self._sites for name in await _pods_in(site)]
            if not left:
                return
            await asyncio.sleep(1)
        self.report.violations += [f"pod {name} has outlived its job" for name in left]

    def _violated(self, life: RandomLife, complaint: str) -> None:
        seed = life.plan.seed
        text = (
            f"seed {seed} in {life.site.namespace}: {complaint}; python -m tests.faults random --seed {seed} --runs 1"
        )
        self.report.violations.append(text)
        self._say(text)


async def _pods_in(site: Site) -> list[str]:
    pages = site.world.cluster.list(PODS, site.namespace)
    return [f"{site.namespace}/{pod['metadata']['name']}" async for page in pages for pod in page["items"]]
