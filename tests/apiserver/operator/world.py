"""What the operator's tests do to the world: apply jobs, play the kubelet, and wait for what must come."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from peft_fsdp_api import names
from peft_fsdp_operator.cluster import CLAIMS, CONFIGMAPS, EVENTS, JOBS, NODES, PODS, SERVICES, Cluster, Resource
from peft_fsdp_operator.errors import NotFound

IMAGE = "registry.example/trainer:test"
NODE = "no-such-kubelet"


def job_body(name: str = "tune", nodes: int = 2, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {
            "model": {"source": "/claims/model"},
            "dataset": {"source": "/claims/data", "trainSplit": "train"},
            "workers": {"nodes": nodes, "gpusPerNode": 8},
            "output": {"claim": "models"},
            **spec,
        },
    }


class World:
    """One namespace of the real API server. There is no kubelet: the test says what becomes of the pods."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self._nodes: set[str] = set()
        self._suffix = uuid4().hex[:6]

    async def make_claim(self, name: str = "models", mode: str = "ReadWriteMany") -> None:
        spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
        await self.cluster.create(CLAIMS, self.namespace, {"metadata": {"name": name}, "spec": spec})

    async def submit(self, name: str = "tune", nodes: int = 2, **spec: Any) -> dict[str, Any]:
        return await self.cluster.create(JOBS, self.namespace, job_body(name, nodes, **spec))

    async def job(self, name: str = "tune") -> dict[str, Any]:
        return await self.cluster.get(JOBS, self.namespace, name)

    async def status(self, name: str = "tune") -> dict[str, Any]:
        return (await self.job(name)).get("status") or {}

    async def pods(self, name: str = "tune") -> dict[str, dict[str, Any]]:
        pages = self.cluster.list(PODS, self.namespace, f"{names.LABEL_JOB}={name}")
        return {pod["metadata"]["name"]: pod async for page in pages for pod in page["items"]}

    async def find(self, resource: Resource, name: str = "tune") -> dict[str, Any] | None:
        try:
            return await self.cluster.get(resource, self.namespace, name)
        except NotFound:
            return None

    async def delete(self, resource: Resource, name: str) -> None:
        found = await self.cluster.get(resource, self.namespace, name)
        await self.cluster.delete(resource, self.namespace, name, found["metadata"]["uid"])

    async def patch(self, resource: Resource, name: str, body: dict[str, Any], subresource: str | None = None) -> None:
        url = self.cluster._server + resource.path(self.namespace, name, subresource)
        headers = {"Content-Type": "application/merge-patch+json", "User-Agent": "tests"}
        async with self.cluster.session.patch(url, data=json.dumps(body), headers=headers) as response:
            assert response.status < 300, await response.text()

    async def run_pod(self, name: str, ip: str | None = None) -> None:
        await self.report(name, "Running", {"running": {"startedAt": now()}})
        if ip is not None:
            await self.patch(PODS, name, {"status": {"podIP": ip, "podIPs": [{"ip": ip}]}}, "status")

    async def end_pod(self, name: str, code: int, message: str = "", reason: str = "") -> None:
        ended = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"), "message": message}
        times = {"startedAt": now(), "finishedAt": now()}
        await self.report(name, "Failed" if code else "Succeeded", {"terminated": {**ended, **times}})

    async def run_all(self, name: str = "tune") -> None:
        for pod in await self.pods(name):
            await self.run_pod(pod)

    async def bind(self, name: str, node: str = NODE) -> None:
        """Put a pod on a node that nobody serves: deleting it only asks it to stop."""
        await self.make_node(node)
        body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": self.named(node)}}
        await self._post(PODS.path(self.namespace, name, "binding"), body)

    def named(self, node: str) -> str:
        """The full name of a node. The node controller remembers names: one that comes again is late at once."""
        return f"{node}-{self._suffix}"

    async def make_node(self, node: str) -> None:
        """A node that is ready, for a while: no kubelet says so again. It has room for nothing."""
        name = self.named(node)
        if name not in self._nodes:
            self._nodes.add(name)
            status = {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}
            await self._post(NODES.path(), {"metadata": {"name": name}, "status": status})

    async def silence(self, node: str, since: str) -> None:
        """What the cluster says of a node from which it has not heard."""
        silent = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped"}
        body = {"status": {"conditions": [{**silent, "lastTransitionTime": since}]}}
        await self.patch(NODES, self.named(node), body, "status")

    async def remove_node(self, node: str) -> None:
        await self._remove_node(self.named(node))

    async def _remove_node(self, name: str) -> None:
        await self.remove_by_force(name, NODES)
        self._nodes.discard(name)

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        async with self.cluster.session.post(self.cluster._server + path, json=body) as response:
            assert response.status < 300, await response.text()

    async def remove_by_force(self, name: str, resource: Resource = PODS) -> None:
        url = self.cluster._server + resource.path(self.namespace, name)
        async with self.cluster.session.delete(url, json={"gracePeriodSeconds": 0}) as response:
            assert response.status < 300 or response.status == 404, await response.text()

    async def report(
        self,
        pod: str,
        phase: str,
        state: dict[str, Any],
        of: str = "containerStatuses",
        name: str = names.TRAINER_CONTAINER,
    ) -> None:
        """What a kubelet says of one container."""
        container = {
            "name": name,
            "image": IMAGE,
            "imageID": "",
            "ready": "running" in state,
            "restartCount": 0,
            "state": state,
        }
        await self.patch(PODS, pod, {"status": {"phase": phase, of: [container]}}, "status")

    async def until_phase(self, phase: str, name: str = "tune") -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            status = await self.status(name)
            return status if status.get("phase") == phase else None

        return await until(reached, lambda: self.status(name))

    async def until_pods(self, *wanted: str, name: str = "tune") -> dict[str, dict[str, Any]]:
        async def there() -> list[dict[str, dict[str, Any]]]:
            pods = await self.pods(name)
            return [pods] if set(pods) == set(wanted) else []

        (pods,) = await until(there, lambda: self.pods(name))
        return pods

    async def events(self, name: str = "tune") -> list[tuple[str, str]]:
        pages = self.cluster.list(EVENTS, self.namespace)
        found = [event async for page in pages for event in page["items"]]
        return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]

    async def clear(self) -> None:
        """Remove jobs and their children, stuck ones by force. Claims stay: their protection takes its time. The
        garbage collector is not waited for: it takes half a minute to learn of a new CRD."""
        for resource in (JOBS, PODS, SERVICES, CONFIGMAPS):
            async for page in self.cluster.list(resource, self.namespace):
                for one in page["items"]:
                    await self.remove_by_force(one["metadata"]["name"], resource)

        async def empty() -> bool:
            pods = [page["items"] async for page in self.cluster.list(PODS, self.namespace)]
            services = [page["items"] async for page in self.cluster.list(SERVICES, self.namespace)]
            return not any(pods + services)

        await until(empty)
        await self.remove_nodes()

    async def remove_nodes(self) -> None:
        for name in list(self._nodes):
            await self._remove_node(name)

    async def shared_versions(self, name: str = "tune") -> list[str]:
        found = [await self.find(resource, name) for resource in (SERVICES, CONFIGMAPS)]
        return [one["metadata"]["resourceVersion"] for one in found if one]


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in status["conditions"] if one["type"] == kind)


async def until(
    check: Callable[[], Awaitable[Any]], show: Callable[[], Awaitable[Any]] | None = None, seconds: float = 90
) -> Any:
    """What `check` gives once it gives something. The time is a bound for broken code, not a figure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := await check():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"did not come: {await show() if show else check}")


async def stays(check: Callable[[], Awaitable[bool]], seconds: float = 1.5) -> None:
    """`check` holds now and for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert await check()
        await asyncio.sleep(0.1)


def now(ago: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


@contextmanager
def operator_process(kubeconfig: Path, namespace: str, log: Path, *flags: str):
    """The operator as it ships, for one namespace."""
    command = [str(Path(sys.executable).with_name("peft-fsdp-operator")), "run", "--trainer-image", IMAGE]
    command += ["--namespace", namespace, "--metrics-address", "127.0.0.1", "--metrics-port", "0", *flags]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=30)
