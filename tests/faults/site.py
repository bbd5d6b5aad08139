"""Where lives are lived: a control plane with played kubelets, and in it sites, each a namespace with one operator
behind a fault proxy. A site starts its operator anew whenever it has ended, as a Deployment would."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from dev.cluster.instance import Cluster as Instance
from peft_fsdp_operator.cluster import JOBS, Cluster, Credentials, Resource, find_credentials
from tests.apiserver.operator.world import World, job_body
from tests.faults.eyes import Eyes
from tests.faults.forks import Fork, Forks
from tests.faults.invariants import complaints
from tests.faults.kubelet import Kubelets
from tests.faults.outage import PATIENCE, try_again
from tests.faults.proxy import FaultProxy
from tests.faults.trail import Trail

VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
NODES_COUNT = 3


@dataclass
class Plane:
    """What all sites share."""

    instance: Instance
    credentials: Credentials
    cluster: Cluster
    kubelets: Kubelets
    eyes: Eyes
    forks: Forks
    folder: Path


class Site:
    """`exits` counts the times that the operator ended by itself."""

    def __init__(self, plane: Plane, elected: bool, patient: bool) -> None:
        self.plane, self.namespace = plane, f"site-{uuid4().hex[:8]}"
        self.world = World(plane.cluster, self.namespace)
        self.proxy = FaultProxy(plane.credentials, self.kill)
        self.log = plane.folder / f"{self.namespace}.log"
        self.kills = self.exits = 0
        lease = ("--lease-namespace", self.namespace, "--identity", self.namespace)
        self._flags, self._patient = lease if elected else ("--no-election",), patient
        self._fork, self._killed = None, False

    async def open(self) -> None:
        await self.proxy.start()
        self._kubeconfig = self.proxy.write_kubeconfig(self.plane.folder / f"{self.namespace}.kubeconfig")
        await asyncio.to_thread(self.plane.instance.kubectl, "create", "namespace", self.namespace)
        await _make_claim(self.world)
        self._keeper = asyncio.create_task(self._keep_running())

    async def close(self) -> None:
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper
        if self._fork is not None:
            self._fork.send(signal.SIGKILL)
            await self._fork.ended.wait()
        await self.proxy.close()
        await asyncio.to_thread(
            self.plane.instance.kubectl, "delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found"
        )

    def kill(self) -> None:
        """kill -9. The next operator starts once this one is gone."""
        if self._fork is not None and not self._killed:
            self._killed = True
            self.kills += 1
            self._fork.send(signal.SIGKILL)

    async def submit(self, name: str = "tune", nodes: int = 2, **spec: Any) -> str:
        """A job without GPUs; its uid."""
        body = job_body(name, nodes, **spec)
        body["spec"]["workers"] = {"nodes": nodes, "gpusPerNode": 0}
        return str((await self.world.cluster.create(JOBS, self.namespace, body))["metadata"]["uid"])

    async def until_no_pods(self, name: str = "tune") -> None:
        """Asked of the API server: there is none of this job."""
        async with asyncio.timeout(90):
            while await self.world.pods(name):
                await asyncio.sleep(0.1)

    def judge(self, uid: str) -> list[str]:
        """What is wrong in the story of one job."""
        trail = Trail(self.plane.instance.audit_log)
        trail.read()
        return complaints(trail.story(uid), trail.lost_nodes, self.proxy.late)

    async def _keep_running(self) -> None:
        while True:
            self._killed = False
            self._fork = await self.plane.forks.fork(
                self._kubeconfig, self.namespace, self.log, *self._flags, patient=self._patient
            )
            await self._fork.ended.wait()
            self.exits += not self._killed
            await asyncio.sleep(0 if self._killed else 1)

    _fork: Fork | None


async def _make_claim(world: World) -> None:
    """A claim with a volume, without which the scheduler places no pod."""
    shared: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    size = {"storage": "1Gi"}
    volume = {"capacity": size, "hostPath": {"path": "/nonexistent"}, **shared}
    url = world.cluster._server + VOLUMES.path()
    async with world.cluster.session.post(url, json={"metadata": {"name": world.namespace}, "spec": volume}) as answer:
        assert answer.status == 201, await answer.text()
    claim = {"resources": {"requests": size}, "volumeName": world.namespace, **shared}
    url = world.cluster._server + f"/api/v1/namespaces/{world.namespace}/persistentvolumeclaims"
    async with world.cluster.session.post(url, json={"metadata": {"name": "models"}, "spec": claim}) as answer:
        assert answer.status == 201, await answer.text()


def _open_session(credentials: Credentials) -> aiohttp.ClientSession:
    """With a name of its own, not to be taken for the operator in the audit log."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=credentials.tls or True),
        headers={"User-Agent": "tests"},
        timeout=aiohttp.ClientTimeout(total=PATIENCE),
        middlewares=(try_again,),
    )


@asynccontextmanager
async def open_plane(instance: Instance, folder: Path) -> AsyncIterator[Plane]:
    credentials = find_credentials({**os.environ, "KUBECONFIG": str(instance.kubeconfig)})
    session, forks = _open_session(credentials), Forks()
    cluster = Cluster(session, credentials.server)
    kubelets, eyes = Kubelets(cluster), Eyes(cluster)
    parts = []
    try:
        await forks.start()
        parts = [asyncio.create_task(part) for part in (kubelets.run(), eyes.run())]
        for number in range(NODES_COUNT):
            await kubelets.add_node(f"node-{uuid4().hex[:6]}-{number}")
        yield Plane(instance, credentials, cluster, kubelets, eyes, forks, folder)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        await forks.close()
        await kubelets.close()
        await session.close()


@asynccontextmanager
async def open_sites(
    plane: Plane, count: int, elected: bool = False, patient: bool = False
) -> AsyncIterator[list[Site]]:
    """With `elected` their operators need a lease to work; `patient` ones wait for every answer as they do outside of
    tests, and so never ask twice because this machine is slow."""
    sites: list[Site] = []
    try:
        for _ in range(count):
            sites.append(Site(plane, elected, patient))
            await sites[-1].open()
        yield sites
    finally:
        await asyncio.gather(*(site.close() for site in sites))
