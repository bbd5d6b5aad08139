"""One job must not delay another: a gang of a thousand pods beside small jobs."""

import statistics
import time

from tests.bench.operator_process import OperatorProcess
from tests.bench.scale.audit import job_of, pods_made
from tests.bench.scale.bursts import PODS, applied_at
from tests.bench.scale.load import wait_until
from tests.bench.scale.objects import post_job
from tests.bench.scale.sampling import jobs_in
from tests.bench.scale.world import World

SMALL_JOBS = 6
PAUSE = 0.4


def small_beside_big(world: World, operator: OperatorProcess, pods: int) -> dict[str, float]:
    """Median seconds from apply to the last pod of small jobs: beside a gang that is being made, and alone before."""
    alone = _small_jobs(world, operator, "alone", 0)
    beside = _small_jobs(world, operator, "beside", pods)
    return {"alone": alone, "beside": beside, "delay": beside - alone}


def _small_jobs(world: World, operator: OperatorProcess, prefix: str, big: int) -> float:
    running = jobs_in(operator.port, "Running")
    world.log.mark()
    if big:
        world.poster.send([post_job(f"{prefix}-big", big)])
    names = [f"{prefix}-{index}" for index in range(SMALL_JOBS)]
    for name in names:
        world.poster.send([post_job(name, PODS)])
        time.sleep(PAUSE)
    expected = running + len(names) + bool(big)
    wait_until(lambda: jobs_in(operator.port, "Running") >= expected, "the small and the big job run")
    applied, last = applied_at(world.log), dict[str, float]()
    for pod, at in pods_made(world.log).items():
        last[job_of(pod)] = max(last.get(job_of(pod), 0.0), at)
    return statistics.median(last[name] - applied[name] for name in names)
