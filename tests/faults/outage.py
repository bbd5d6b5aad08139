"""The API server itself is stopped or killed, its history compacted, and started again."""

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import Awaitable, Callable

import aiohttp

from dev.cluster import processes
from dev.cluster.instance import Cluster, up_control_plane
from dev.cluster.layout import Layout
from dev.cluster.record import LOOPBACK, read_record

NOT_READY = 503
PATIENCE = 150.0
"""Seconds; longer than any outage of the tests."""


async def stop_apiserver(instance: Cluster) -> None:
    await asyncio.to_thread(processes.stop, Layout(instance.name), "kube-apiserver")


async def kill_apiserver(instance: Cluster) -> None:
    """kill -9: every connection breaks, with requests under way in them."""
    pid = processes.running_pid(Layout(instance.name).pid_file("kube-apiserver"))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await stop_apiserver(instance)


async def try_again(
    request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
) -> aiohttp.ClientResponse:
    """A middleware for those who do things to jobs: users and kubelets, which are not on trial, come again later."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                response = await handler(request)
                if response.status != NOT_READY:
                    return response
                response.release()
            await asyncio.sleep(0.3)


async def start_apiserver(instance: Cluster) -> None:
    """Its watch caches are empty then: whoever goes on from an older version is told that it is gone.

    Scheduler and controllers start anew with it: they would come back half a minute later, and are not on trial.
    """
    for program in ("kube-scheduler", "kube-controller-manager"):
        await asyncio.to_thread(processes.stop, Layout(instance.name), program)
    await asyncio.to_thread(up_control_plane, instance.name)


async def compact(instance: Cluster) -> None:
    """etcd forgets every version but the newest, through the HTTP gateway of its API."""
    record = read_record(Layout(instance.name))
    assert record is not None
    url = f"http://{LOOPBACK}:{record.ports['etcd']}/v3/kv"
    newest = (await asyncio.to_thread(_post, f"{url}/range", {"key": "AA=="}))["header"]["revision"]
    await asyncio.to_thread(_post, f"{url}/compaction", {"revision": newest, "physical": True})


def _post(url: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, json.dumps(body).encode()), timeout=30) as response:
        answer: dict[str, dict[str, str]] = json.load(response)
        return answer
