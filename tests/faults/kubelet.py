"""All kubelets of the control plane, played: pods that the scheduler has placed run, pods that are asked to stop go."""

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from typing import Any

import aiohttp

from peft_fsdp_operator.cluster import LEASES, NODES, PODS, Cluster, Resource
from peft_fsdp_operator.errors import ApiError
from peft_fsdp_operator.observe import see_pod
from peft_fsdp_operator.reflector import ChildReflector
from peft_fsdp_operator.seen import PodSeen
from tests.apiserver.operator.world import World, now

LEASE_INTERVAL = 8.0
NODE_LEASES = "kube-node-lease"
PLENTY = {"cpu": "9999", "memory": "99Ti", "pods": "9999"}


class Kubelets:
    """`dead` nodes do nothing any more; pods in `held` are left alone."""

    def __init__(self, cluster: Cluster, start_seconds: float = 0.0, stop_seconds: float = 0.0) -> None:
        self._cluster = cluster
        self.start_seconds, self.stop_seconds = start_seconds, stop_seconds
        self.dead: set[str] = set()
        self._nodes: list[str] = []
        self._started: set[str] = set()
        self._stopped: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.pods = ChildReflector(cluster, PODS, None, see_pod, self._changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self.pods.run())
            parts.create_task(self._renew())

    def pods_of(self, uid: str) -> tuple[PodSeen, ...]:
        return self.pods.owned_by(uid)

    async def add_node(self, name: str, **labels: str) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "Played", "lastHeartbeatTime": now()}
        body = {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
            "status": {"capacity": PLENTY, "allocatable": PLENTY, "conditions": [ready]},
        }
        await _post(self._cluster, NODES, None, body)
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _moment()}
        with contextlib.suppress(ApiError):
            await self._cluster.create(LEASES, NODE_LEASES, {"metadata": {"name": name}, "spec": spec})
        self._nodes.append(name)

    async def lose_node(self, name: str) -> None:
        """The machine is gone, and somebody has removed its Node. What ran there ran on until that moment."""
        self.dead.add(name)
        if name in self._nodes:
            self._nodes.remove(name)
        async with self._cluster.session.delete(self._cluster._server + NODES.path(None, name)) as response:
            assert response.status < 300, await response.text()

    async def close(self) -> None:
        """No node stays behind on which pods would wait for ever."""
        for name in list(self._nodes):
            await self.lose_node(name)

    def _changed(self, pod: PodSeen) -> None:
        if pod.node is None or pod.node in self.dead:
            return
        if pod.is_stopping and pod.uid not in self._stopped:
            self._stopped.add(pod.uid)
            self._do(self._stop(pod))
        elif pod.phase == "Pending" and not pod.is_stopping and pod.uid not in self._started:
            self._started.add(pod.uid)
            self._do(self._start(pod))

    async def _start(self, pod: PodSeen) -> None:
        await asyncio.sleep(self.start_seconds)
        if pod.node not in self.dead:
            await _until_done(lambda: World(self._cluster, pod.namespace).run_pod(pod.name))

    async def _stop(self, pod: PodSeen) -> None:
        await asyncio.sleep(self.stop_seconds)
        if pod.node not in self.dead:
            await _until_done(lambda: World(self._cluster, pod.namespace).remove_by_force(pod.name))

    async def _renew_lease(self, node: str) -> None:
        await World(self._cluster, NODE_LEASES).patch(LEASES, node, {"spec": {"renewTime": _moment()}})

    def _do(self, action: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(action)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_INTERVAL)
            for node in list(self._nodes):
                await _until_done(partial(self._renew_lease, node))


async def _until_done(action: Any) -> None:
    """A write of a kubelet; one about a pod that is gone by now is done. The API server may be down for a while."""
    for _ in range(200):
        try:
            await action()
        except AssertionError:
            return
        except (OSError, TimeoutError, aiohttp.ClientError):
            await asyncio.sleep(0.3)
        else:
            return


async def _post(cluster: Cluster, resource: Resource, namespace: str | None, body: dict[str, Any]) -> None:
    async with cluster.session.post(cluster._server + resource.path(namespace), json=body) as response:
        assert response.status in (201, 409), await response.text()


def _moment() -> str:
    return now().replace("Z", ".000000Z")
