"""The cluster that the figures are taken on: a real control plane, KWOK nodes with GPUs, the operator as it ships."""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from dev.cluster.instance import Cluster, add_fake_nodes
from tests.bench.api import connect
from tests.bench.operator_process import OperatorProcess, running_operator
from tests.bench.scale.audit import AuditLog
from tests.bench.scale.load import Poster, wait_until
from tests.bench.scale.objects import CLAIM, NAMESPACE, Object, delete_job, post_job
from tests.bench.scale.sampling import jobs_in
from tests.fresh_plane import fresh_plane

ROOT = Path(__file__).parents[3]
INSTANCE = "scale"
GPUS_PER_NODE = 64
SPARE_NODES = 15
DELETE_TRIES = 10


@dataclass(frozen=True)
class World:
    """A running control plane with its nodes, and the poster."""

    cluster: Cluster
    folder: Path
    poster: Poster
    log: AuditLog

    @contextmanager
    def operator(self, kubeconfig: Path | None = None) -> Iterator[OperatorProcess]:
        """The operator until the end of the block."""
        with running_operator(kubeconfig or self.cluster.kubeconfig, self.folder) as operator:
            yield operator

    def ask(self, *paths: str) -> list[Object]:
        """GET requests, one after the other."""

        async def get() -> list[Object]:
            async with connect(self.cluster.kubeconfig) as api:
                return [await api.get(path) for path in paths]

        return asyncio.run(get())

    def clear(self) -> None:
        """Remove all jobs and everything that a bare client made; returns when no pod is left."""
        self.cluster.kubectl("delete", "pfj", "--all", "-A", "--wait=false")
        for kind in ("pods", "services", "configmaps"):
            asyncio.run(_delete_collection(self.cluster.kubeconfig, kind))
        self.until_no_pods()
        time.sleep(3)  # the garbage collector and the controllers catch up

    def until_running(self, count: int) -> None:
        """Until KWOK runs so many pods, by its status writes since the log was marked."""

        def ran() -> bool:
            return (
                len({one.name for one in self.log.requests("kwok", "pods/status", "patch") if one.took_effect}) >= count
            )

        wait_until(ran, f"{count} pods run", step=2.0)

    def until_no_pods(self, namespace: str = NAMESPACE) -> None:
        path = f"/api/v1/namespaces/{namespace}/pods?limit=1"
        wait_until(lambda: not self.ask(path)[0]["items"], "no pod is left")


def run_jobs(world: World, operator: OperatorProcess, names: Iterable[str], pods: int) -> None:
    """Post jobs, and return when all run."""
    wanted = list(names)
    before = jobs_in(operator.port, "Running")
    world.poster.send(post_job(name, pods) for name in wanted)
    try:
        # Each question costs the operator a walk over all jobs, and its processor time is a figure.
        wait_until(lambda: jobs_in(operator.port, "Running") >= before + len(wanted), f"{len(wanted)} jobs run", step=2)
    except RuntimeError as error:
        jobs = world.cluster.kubectl("get", "pfj", "-A", "-o", "wide")
        said = operator.log.read_text()[-2000:]
        raise RuntimeError(f"{error}; {before:g} ran before\n{jobs}\nthe operator's log:\n{said}") from error


def delete_jobs(world: World, names: Iterable[str]) -> None:
    world.poster.send(delete_job(name) for name in names)
    world.until_no_pods()


@contextmanager
def open_world(pods: int) -> Iterator[World]:
    """A control plane with room for so many pods of one GPU each."""
    nodes = -(-pods // GPUS_PER_NODE) + SPARE_NODES
    with fresh_plane(INSTANCE) as cluster, tempfile.TemporaryDirectory() as folder:
        add_fake_nodes(INSTANCE, nodes, gpus=GPUS_PER_NODE)
        apply_crd(cluster)
        make_namespace(cluster, NAMESPACE)
        yield World(cluster, Path(folder), Poster(cluster.kubeconfig, Path(folder)), AuditLog(cluster.audit_log))


def apply_crd(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", str(ROOT / "manifests" / "crd.yaml"))
    cluster.wait_until_served("peftfsdpjobs.training.peft-fsdp.io")


def make_namespace(cluster: Cluster, name: str) -> None:
    """A namespace whose claim says that it is ReadWriteMany; no pod ever really mounts it."""
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/nonexistent"}, **spec}
    claim = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": f"{CLAIM}-{name}", **spec}
    items: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{CLAIM}-{name}"}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM, "namespace": name},
         "spec": claim},
    ]  # fmt: skip
    for item in items:
        cluster.kubectl("apply", "-f", "-", input=json.dumps(item))
    default = f"--namespace={name}"
    wait_until(lambda: "default" in cluster.kubectl("get", "serviceaccounts", default, "-o=name"), "a service account")


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


async def _delete_collection(kubeconfig: Path, kind: str) -> None:
    """A collection of thousands takes longer than the minute the API server gives a request: ask again."""
    async with connect(kubeconfig) as api:
        for _ in range(DELETE_TRIES):
            with suppress(aiohttp.ClientResponseError):
                return await api.delete(f"/api/v1/namespaces/{NAMESPACE}/{kind}?gracePeriodSeconds=0")
    raise RuntimeError(f"the {kind} of the last run cannot be deleted")
