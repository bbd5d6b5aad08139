"""One bad job among good ones: what the slowest of the good ones wait, with the bad one and without it, in turns.

Three poisons: a job that breaks the contract, one that somebody else writes to without end, and one in whose namespace
the API server is slow. All figures go through the same proxy, so that they differ in the poison alone.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import yaml

from tests.bench.operator_process import OperatorProcess
from tests.bench.scale.bursts import PODS, burst
from tests.bench.scale.objects import job, post_job
from tests.bench.scale.world import ROOT, World, delete_jobs, make_namespace
from tests.ports import free_port

SLOW_NAMESPACE, SLOW_SECONDS, SLOW_PODS = "slow", 5.0, 200
REPEATS = 3
Poison = Callable[[World], AbstractContextManager[None]]


def poisoned(world: World, jobs: int) -> dict[str, dict[str, float]]:
    """By poison: median p99 without and with it, in seconds, and the second over the first."""
    make_namespace(world.cluster, SLOW_NAMESPACE)
    with _proxy(world) as kubeconfig, world.operator(kubeconfig) as operator:
        _p99(world, operator, jobs, "warm")
        return {name: _compare(world, operator, jobs, name, poison) for name, poison in POISONS.items()}


def _compare(world: World, operator: OperatorProcess, jobs: int, name: str, poison: Poison) -> dict[str, float]:
    without, with_it = [], []
    prefix = name.lower().replace(" ", "-")
    for repeat in range(REPEATS):
        without.append(_p99(world, operator, jobs, f"{prefix}-without-{repeat}"))
        with poison(world):
            time.sleep(2)  # the operator has met the bad job
            with_it.append(_p99(world, operator, jobs, f"{prefix}-with-{repeat}"))
    before, after = statistics.median(without), statistics.median(with_it)
    return {"without": before, "with": after, "ratio": after / before}


def _p99(world: World, operator: OperatorProcess, jobs: int, prefix: str) -> float:
    measured = burst(world, operator, jobs, prefix)
    delete_jobs(world, [f"{prefix}-{index}" for index in range(jobs)])
    return measured.p99


@contextmanager
def _invalid(world: World) -> Iterator[None]:
    """A job that the contract forbids, let in while the CRD looked away; the queue retries nothing, but sees it."""
    crd = yaml.safe_load((ROOT / "manifests" / "crd.yaml").read_text())
    bad = job("bad", PODS)
    bad["spec"]["lora"] = {"rank": -1}
    loose = json.loads(json.dumps(crd))
    schema = loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema.pop("x-kubernetes-validations")
    schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    world.cluster.kubectl("apply", "-f", "-", input=json.dumps(loose))
    time.sleep(2)  # the API server takes the new schema in
    world.cluster.kubectl("apply", "-f", "-", input=json.dumps(bad))
    world.cluster.kubectl("apply", "-f", "-", input=json.dumps(crd))
    yield
    world.cluster.kubectl("delete", "pfj", "bad", f"--namespace={bad['metadata']['namespace']}")


@contextmanager
def _endless_conflict(world: World) -> Iterator[None]:
    world.poster.send([post_job("bad", PODS)])
    with _process(
        "tests.bench.scale.conflicts", str(world.cluster.kubeconfig), job("bad", 1)["metadata"]["namespace"], "bad"
    ):
        yield
    delete_jobs(world, ["bad"])


@contextmanager
def _slow_namespace(world: World) -> Iterator[None]:
    """A big gang whose every write takes seconds."""
    world.poster.send([post_job("bad", SLOW_PODS, SLOW_NAMESPACE)])
    yield
    world.cluster.kubectl("delete", "pfj", "bad", f"--namespace={SLOW_NAMESPACE}")
    world.until_no_pods(SLOW_NAMESPACE)


POISONS: dict[str, Poison] = {
    "invalid": _invalid,
    "endless conflict": _endless_conflict,
    "slow API for its namespace": _slow_namespace,
}


@contextmanager
def _proxy(world: World) -> Iterator[Path]:
    """A kubeconfig that leads through the proxy."""
    port = free_port()
    server = f"http://127.0.0.1:{port}"
    kubeconfig = world.folder / "through-proxy.yaml"
    context = {"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}
    clusters = [{"name": "proxy", "cluster": {"server": server}}]
    users = [{"name": "nobody", "user": {}}]
    config = {"contexts": [context], "clusters": clusters, "users": users, "current-context": "proxy"}
    kubeconfig.write_text(yaml.safe_dump(config))
    arguments = (str(world.cluster.kubeconfig), str(port), SLOW_NAMESPACE, str(SLOW_SECONDS))
    with _process("tests.bench.scale.slow_api", *arguments):
        time.sleep(2)
        yield kubeconfig


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
