"""What it costs when all watches break at once: the API server is started anew, and every mirror lists again.

The API server's watch cache is empty then, so each watch is told that its place in history is gone.
"""

import asyncio
import time

from tests.bench.operator_process import OperatorProcess
from tests.bench.scale.audit import OPERATOR, job_of, pods_made
from tests.bench.scale.bursts import PODS, applied_at
from tests.bench.scale.load import wait_until
from tests.bench.scale.objects import post_job
from tests.bench.scale.sampling import Sampler, jobs_in, read_metrics
from tests.bench.scale.steady import passes
from tests.bench.scale.world import World
from tests.faults.outage import start_apiserver, stop_apiserver

SETTLE_SECONDS = 20
NEW_JOBS = ("meanwhile", "afterwards")
WATCHED = ("pods", "services", "configmaps", "nodes", "peftfsdpjobs")
FROM_ETCD = 'resource="pods",storage="etcd"'
LAG = "peft_fsdp_operator_event_loop_lag_seconds_bucket"


def relist(world: World, operator: OperatorProcess) -> dict[str, float]:
    """Seconds and requests of the operator, from its first answered list to its last, and a new job meanwhile."""
    lags, used, done = _lags(operator), operator.cpu_seconds(), passes(operator)
    asyncio.run(stop_apiserver(world.cluster))
    world.log.mark()
    with Sampler(operator) as sampler:
        asyncio.run(start_apiserver(world.cluster))
        new_job = _new_job(world, operator, NEW_JOBS[0])
        time.sleep(SETTLE_SECONDS)
    asked = world.log.requests(OPERATOR, verb="list")
    lists = [one for one in asked if one.code == 200 and one.resource in WATCHED]
    watches = list(world.log.requests(OPERATOR, verb="watch"))
    late = {limit: count - lags.get(limit, 0) for limit, count in _lags(operator).items()}
    return {
        "lists": float(len(lists)),
        "seconds": max(one.answered for one in lists) - min(one.received for one in lists),
        "longest": max(one.answered - one.received for one in lists),
        "watches": float(len(watches)),
        "late_100ms": late["+Inf"] - late["0.1"],
        "late_1s": late["+Inf"] - late["1.0"],
        "cpu": operator.cpu_seconds() - used,
        "passes": passes(operator) - done,
        "peak_mib": sampler.peak_mib,
        "from_etcd": _read_from_etcd(world),
        "new_job": new_job,
        "new_job_after": _new_job(world, operator, NEW_JOBS[1]),
    }


def _new_job(world: World, operator: OperatorProcess, name: str) -> float:
    """Seconds from the apply of one job to its last pod."""
    running = jobs_in(operator.port, "Running")
    world.poster.send([post_job(name, PODS)])
    wait_until(lambda: jobs_in(operator.port, "Running") > running, "the new job runs", step=0.1)
    made = {pod: at for pod, at in pods_made(world.log).items() if job_of(pod) == name}
    return max(made.values()) - applied_at(world.log)[name]


def _read_from_etcd(world: World) -> float:
    """Pages of pods since the API server started, anybody's, that it could not answer from its cache."""
    lines = world.cluster.kubectl("get", "--raw", "/metrics").splitlines()
    found = [line for line in lines if line.startswith("apiserver_storage_list_total{") and FROM_ETCD in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def _lags(operator: OperatorProcess) -> dict[str, float]:
    """How often the event loop was late by no more than so many seconds."""
    found = read_metrics(operator.port).items()
    return {name.split('le="')[1].split('"')[0]: value for name, value in found if name.startswith(LAG)}
