"""A thousand running jobs: without news, with progress, and after a restart of the operator."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.operator_process import OperatorProcess
from tests.bench.scale.audit import OPERATOR
from tests.bench.scale.load import wait_until
from tests.bench.scale.objects import NAMESPACE
from tests.bench.scale.sampling import read_metrics
from tests.bench.scale.world import World

SETTLE_SECONDS = 15
WATCH_SECONDS = 60
PASSES = "peft_fsdp_operator_pass_duration_seconds_count"


def quiet_requests(world: World, operator: OperatorProcess) -> dict[str, float]:
    """Requests and processor time per second while nothing happens."""
    return _watch(world, operator, writes_only=False)


def progress_cost(world: World, operator: OperatorProcess) -> dict[str, float]:
    """Status writes and processor time per second while every launcher tells of new steps."""
    with _launchers(world):
        time.sleep(45)  # until every job has answered for the first time
        return _watch(world, operator, writes_only=True)


def restart(world: World, jobs: int) -> dict[str, float]:
    """A new operator: seconds until every job was looked at, and the writes it made."""
    world.log.mark()
    started = time.monotonic()
    with world.operator() as operator:
        wait_until(lambda: passes(operator) >= jobs, "every job was looked at", step=0.1)
        seconds = time.monotonic() - started
        time.sleep(SETTLE_SECONDS)
        writes = [one for one in world.log.requests(OPERATOR) if one.is_write and one.resource != "leases"]
    return {"seconds": seconds, "writes": float(len(writes))}


def passes(operator: OperatorProcess) -> float:
    """How many passes came to their end."""
    return sum(value for name, value in read_metrics(operator.port).items() if name.startswith(PASSES))


def _watch(world: World, operator: OperatorProcess, writes_only: bool) -> dict[str, float]:
    time.sleep(SETTLE_SECONDS)
    world.log.mark()
    before = operator.cpu_seconds()
    time.sleep(WATCH_SECONDS)
    used = operator.cpu_seconds() - before
    asked = [one for one in world.log.requests(OPERATOR) if one.verb != "watch"]
    counted = [one for one in asked if one.is_write] if writes_only else asked
    return {"requests_per_second": len(counted) / WATCH_SECONDS, "cpu_share": used / WATCH_SECONDS}


@contextmanager
def _launchers(world: World) -> Iterator[None]:
    pod = world.ask(f"/api/v1/namespaces/{NAMESPACE}/pods?limit=1")[0]["items"][0]
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.scale.launchers", pod["status"]["podIP"]])
    try:
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)
