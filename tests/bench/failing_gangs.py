"""Gangs that are made to fail: the operator's, and a bare client's, which does the same without any thought.

Used by `failures`.
"""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from peft_fsdp_api.names import GROUP, LABEL_JOB, PLURAL, TRAINER_CONTAINER, VERSION
from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.reasons import Reason
from tests.bench.api import Api, gather_bounded
from tests.bench.creation import NAMESPACE, fresh_pod, job, until_no_pods, wait_labelled

PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
JOBS: Final = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
NOWHERE: Final = {"bench": "no-such-node"}
AT_ONCE: Final = 32
IDLE_SECONDS: Final = 0.5
"""The control plane comes to rest before the stopwatch starts."""

Object = dict[str, Any]


async def begin_gang(api: Api, name: str, nodes: int, selector: dict[str, str] | None = None, **spec: Any) -> None:
    """A job whose pods all run; where the selector fits no node, they only exist."""
    body = job(name, nodes, selector)
    body["spec"] |= spec
    await api.post(JOBS, body)
    if selector:
        await wait_labelled(api, "pods", f"labelSelector={LABEL_JOB}={name}", nodes)
    else:
        await until_status(api, name, lambda status: status.get("phase") == "Running")
    await asyncio.sleep(IDLE_SECONDS)


async def end_gang(api: Api, name: str, *nodes: str) -> None:
    """Remove the job, its pods and nodes that were made for it."""
    await api.delete(f"{JOBS}/{name}")
    for node in nodes:
        await api.delete(f"/api/v1/nodes/{node}")
    await api.delete(f"{PODS}?labelSelector={LABEL_JOB}={name}&gracePeriodSeconds=0")
    await until_no_pods(api)


async def pods_of(api: Api, name: str) -> list[Object]:
    """The pods of a job."""
    found: list[Object] = (await api.get(f"{PODS}?labelSelector={LABEL_JOB}={name}"))["items"]
    return found


async def begin_bare_gang(api: Api, pods: list[Object]) -> list[Object]:
    """The pods of a job as pods of nobody, which run; the bodies of those that are to follow them come back."""
    await _post_pods(api, [_bare_pod(1, worker, pod) for worker, pod in enumerate(pods)])
    while sum(pod["status"].get("phase") == "Running" for pod in await _bare_pods(api)) < len(pods):
        await asyncio.sleep(0.2)
    await asyncio.sleep(IDLE_SECONDS)
    return [_bare_pod(2, worker, pod) for worker, pod in enumerate(pods)]


async def replace_bare_gang(api: Api, bodies: list[Object], lost: int) -> None:
    """One container exits; as soon as a watch says so, all pods are deleted, and when they are gone made anew."""
    listing = await api.get(f"{PODS}?labelSelector=bench=bare")
    version, there = listing["metadata"]["resourceVersion"], len(listing["items"])
    url = f"{api.server}{PODS}?labelSelector=bench=bare&watch=1&resourceVersion={version}"
    deletes: asyncio.Task[None] | None = None
    async with api.session.get(url) as response:
        harm = asyncio.create_task(end_container(api, f"bare-1-{lost}"))
        async for line in response.content:
            event = json.loads(line)
            if deletes is None and event["object"]["status"].get("phase") == "Failed":
                names = [pod["metadata"]["name"] for pod in listing["items"]]
                deletes = asyncio.create_task(gather_bounded(AT_ONCE, *(api.delete(f"{PODS}/{one}") for one in names)))
            there -= event["type"] == "DELETED"
            if not there:
                break
    await harm
    assert deletes is not None
    await deletes
    await _post_pods(api, bodies)


async def end_container(api: Api, pod: str) -> None:
    """The trainer of a pod lost a peer and exits: what a kubelet reports then."""
    outcome = Outcome(reason=Reason.LOST_PEER, message="a peer went away", rank=0).to_termination_message()
    end = {"exitCode": 74, "reason": "Error", "message": outcome, "startedAt": _now(), "finishedAt": _now()}
    await _report(api, pod, "Failed", {"terminated": end})


async def place_by_hand(api: Api, name: str, lost: int, node: str, running: bool = True) -> None:
    """One pod of a job is on a node that no kubelet serves, and it and the others run, or do not yet."""
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    await api.post("/api/v1/nodes", {"metadata": {"name": node}, "status": {"conditions": [ready]}})
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    pods = [pod["metadata"]["name"] for pod in await pods_of(api, name)]
    lost_pod = f"{name}-1-{lost}"
    await api.post(f"{PODS}/{lost_pod}/binding", {"metadata": {"name": lost_pod}, "target": target})
    others = [pod for pod in pods if running or pod != lost_pod]
    await asyncio.gather(*(_report(api, pod, "Running", {"running": {"startedAt": _now()}}) for pod in others))
    if running:
        await until_status(api, name, lambda status: status.get("phase") == "Running")
    await asyncio.sleep(IDLE_SECONDS)


async def silence_node(api: Api, node: str) -> float:
    """The cluster has not heard of the node. Returns the moment that it names, in whole seconds."""
    now = datetime.now(UTC).replace(microsecond=0)
    condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped"}
    since = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"status": {"conditions": [{**condition, "lastTransitionTime": since}]}}
    await api.patch(f"/api/v1/nodes/{node}/status", body)
    return now.timestamp()


async def break_image(api: Api, pod: str) -> None:
    """What a kubelet reports of an image that it cannot pull."""
    waiting = {"reason": "ErrImagePull", "message": "manifest unknown"}
    await _report(api, pod, "Pending", {"waiting": waiting})


async def until_status(api: Api, name: str, holds: Callable[[Object], bool]) -> float:
    """When a watch says that the status of a job is as wanted. The job need not exist yet."""
    return await _until_watched(api, f"{JOBS}?fieldSelector=metadata.name={name}", holds)


async def until_unscheduled(api: Api, name: str) -> float:
    """When a watch says that the scheduler has found no node for a pod of a job."""
    return await _until_watched(api, f"{PODS}?labelSelector={LABEL_JOB}={name}", _is_unscheduled)


async def _until_watched(api: Api, path: str, holds: Callable[[Object], bool]) -> float:
    while True:
        async with api.session.get(f"{api.server}{path}&watch=1") as response:
            async for line in response.content:
                if holds(json.loads(line)["object"].get("status") or {}):
                    return time.time()


def _is_unscheduled(status: Object) -> bool:
    conditions = status.get("conditions") or []
    return any((one["type"], one["status"]) == ("PodScheduled", "False") for one in conditions)


async def _report(api: Api, pod: str, phase: str, state: Object) -> None:
    container = {"name": TRAINER_CONTAINER, "image": "none", "imageID": "", "restartCount": 0}
    status = {"phase": phase, "containerStatuses": [{**container, "ready": "running" in state, "state": state}]}
    await api.patch(f"{PODS}/{pod}/status", {"status": status})


async def _post_pods(api: Api, bodies: list[Object]) -> None:
    await gather_bounded(AT_ONCE, *(api.post(PODS, body) for body in bodies))


async def _bare_pods(api: Api) -> list[Object]:
    found: list[Object] = (await api.get(f"{PODS}?labelSelector=bench=bare"))["items"]
    return found


def _bare_pod(generation: int, worker: int, pod: Object) -> Object:
    return fresh_pod(pod, f"bare-{generation}-{worker}")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
