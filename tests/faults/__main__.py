"""`python -m tests.faults`: the whole of what `make test` does a part of.

random --seed N --runs 1000 --jobs 20   random lives, each replayable by its seed
points                                  every fault at every write of a job's life
"""

import argparse
import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.faults.invariants import complaints
from tests.faults.planes import faults_plane
from tests.faults.points import record, try_all
from tests.faults.random_runs import RandomRuns
from tests.faults.rules import BROKEN, BUSY, CONFLICT, INVALID, UNAVAILABLE, Drop, Fault, Hang, Kill, Late
from tests.faults.site import open_plane, open_sites
from tests.faults.trail import Trail

FAULTS: tuple[Fault, ...] = (
    Kill(), Kill(after=True), CONFLICT, INVALID, BUSY, BROKEN, UNAVAILABLE, Drop(), Drop(after=True), Hang(after=True),
    Late(2.0), Late(2.0, kill=True),
)  # fmt: skip
NAME = "faults-runs"
LIVES_PER_SITE = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    random = commands.add_parser("random", help="random lives")
    random.add_argument("--seed", type=int, default=1, help="of the first life; the next ones count up")
    random.add_argument("--runs", type=int, default=1000)
    random.add_argument("--jobs", type=int, default=20, help="at a time")
    points = commands.add_parser("points", help="every fault at every write")
    points.add_argument("--sites", type=int, default=16, help="lives at a time")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if flags.command == "random":
            return asyncio.run(_random(flags, Path(folder)))
        return asyncio.run(_points(flags, Path(folder)))


async def _random(flags: argparse.Namespace, folder: Path) -> int:
    count = max(1, flags.jobs // LIVES_PER_SITE)
    with faults_plane(NAME) as instance:
        async with open_plane(instance, folder) as plane, open_sites(plane, count) as sites:
            seeds = range(flags.seed, flags.seed + flags.runs)
            report = await RandomRuns(plane, sites, partial(print, flush=True)).run(seeds, flags.jobs)
    print(report.summary())
    return 1 if report.violations else 0


async def _points(flags: argparse.Namespace, folder: Path) -> int:
    with faults_plane(NAME) as instance:
        async with open_plane(instance, folder) as plane, open_sites(plane, flags.sites) as sites:
            points, plain = await record(sites)
            trials = await try_all(sites, [(point, fault) for point in points for fault in FAULTS])
            late = {uid for site in sites for uid in site.proxy.late}
        trail = Trail(instance.audit_log)
        trail.read()
    told = [one for trial in trials if (one := trial.complaint(plain[0]))]
    told += [one for uid in trail.stories for one in complaints(trail.story(uid), {}, late)]
    print("\n".join([*told, f"{len(points)} writes, {len(trials)} lives with a fault, {len(told)} complaints"]))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
