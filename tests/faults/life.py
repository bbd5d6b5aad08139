"""A scripted life of a job that goes through every kind of write, and the state in which it must end."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from peft_fsdp_operator.cluster import CONFIGMAPS, JOBS, PODS, SERVICES
from peft_fsdp_operator.errors import AlreadyExists, NotFound
from tests.apiserver.operator.world import job_body
from tests.faults.eyes import Status
from tests.faults.site import Site

PATIENCE = 120.0
"""Seconds for one step of a life; a bound for an operator that is stuck."""


@dataclass(frozen=True)
class Outcome:
    """What must be the same with and without a fault."""

    status: dict[str, Any]
    left_over: tuple[str, ...]


async def live(site: Site, name: str, patience: float = PATIENCE) -> Outcome:
    """Attempt 1 fails by an error, attempt 2 loses a pod, attempt 3 is suspended, 4 succeeds, ttl clears up."""
    world, eyes = site.world, site.plane.eyes
    workers = {"nodes": 2, "gpusPerNode": 0}
    body = {**job_body(name), "spec": {**job_body(name)["spec"], "workers": workers, "ttlAfterFinished": "1s"}}
    uid = await _create(site, name, body)

    async def reach(phase: str, attempt: int) -> None:
        await eyes.wait(uid, lambda one: one.get("phase") == phase and one["attempt"] == attempt, patience)

    await reach("Running", 1)
    await world.end_pod(f"{name}-1-1", 1, "boom")
    await reach("Running", 2)
    with contextlib.suppress(NotFound):  # it was asked twice: the first answer got lost with the API server
        await world.delete(PODS, f"{name}-2-0")
    await reach("Running", 3)
    await world.patch(JOBS, name, {"spec": {"suspend": True}})
    await reach("Suspended", 3)
    await world.patch(JOBS, name, {"spec": {"suspend": False}})
    await reach("Running", 4)
    for worker in range(2):
        await world.end_pod(f"{name}-4-{worker}", 0)
    await reach("Succeeded", 4)
    await until_quiet(lambda: _children(site, uid), patience)
    await asyncio.sleep(0.3)
    return Outcome(essence(eyes.status(uid)), tuple(await _children(site, uid)))


async def _create(site: Site, name: str, body: dict[str, Any]) -> str:
    """The uid of the new job, also where its creation was asked twice because the first answer got lost."""
    try:
        job = await site.world.cluster.create(JOBS, site.namespace, body)
    except AlreadyExists:
        job = await site.world.job(name)
    return str(job["metadata"]["uid"])


async def until_quiet(children: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until nothing is left; what is left at the end is for the test to tell."""
    try:
        async with asyncio.timeout(seconds):
            while await children():
                await asyncio.sleep(0.25)
    except TimeoutError:
        return


async def _children(site: Site, uid: str) -> list[str]:
    found = []
    for resource in (PODS, SERVICES, CONFIGMAPS):
        selector = f"training.peft-fsdp.io/job-uid={uid}"
        async for page in site.world.cluster.list(resource, site.namespace, selector):
            found += [f"{resource.kind} {one['metadata']['name']}" for one in page["items"]]
    return found


def essence(status: Status) -> dict[str, Any]:
    """The status without clocks, names and sentences."""
    kept = {
        key: status.get(key) for key in ("phase", "attempt", "restarts", "workers", "waiting", "observedGeneration")
    }
    kept["used"] = {key: value["used"] for key, value in (status.get("budgets") or {}).items() if value}
    kept["failures"] = [(one["attempt"], one["reason"]) for one in status.get("failures") or []]
    kept["conditions"] = sorted((one["type"], one["status"], one["reason"]) for one in status["conditions"])
    return kept
