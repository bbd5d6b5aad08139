"""From the POST of a job to the last of its Service, ConfigMap and pods, and the same pods from a bare client."""

import asyncio
import copy
import statistics
import time
from typing import Any

from peft_fsdp_api.names import API_VERSION, KIND, PLURAL, VERSION
from peft_fsdp_api.names import GROUP as API_GROUP
from tests.bench.api import Api, gather_bounded

NAMESPACE = "bench"
CLAIM = "models"
REPEATS = 10


def job(name: str, nodes: int, node_selector: dict[str, str] | None = None) -> dict[str, Any]:
    """A job of `nodes` pods with eight GPUs each; its claim exists and is ReadWriteMany."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": {"source": "meta-llama/Llama-3.1-8B"},
            "dataset": {"source": "HuggingFaceH4/ultrachat_200k", "trainSplit": "train_sft"},
            "workers": {"nodes": nodes, "gpusPerNode": 8, "nodeSelector": node_selector or {}},
            "output": {"claim": CLAIM},
        },
    }


async def prepare(api: Api) -> None:
    """The namespace, and the claim of the jobs with a volume for it, which no pod ever really mounts."""
    await api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/nonexistent"}, **shared}
    await api.post("/api/v1/persistentvolumes", {"metadata": {"name": CLAIM}, "spec": volume})
    claim = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": CLAIM, **shared}
    body = {"metadata": {"name": CLAIM}, "spec": claim}
    await api.post(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", body)


async def measure(api: Api, nodes: int, scheduled: bool = True) -> dict[str, float]:
    """Medians of apply -> all objects, of the bare client and of the ratio pair by pair.

    Scheduler and KWOK work on the first pods, on the same cores, while the last are being made; with `scheduled` off no
    node takes the pods, and what is measured is operator and API server alone.
    """
    selector = {} if scheduled else {"bench": "no-such-node"}
    ours, bare = [], []
    for repeat in range(REPEATS + 1):
        seconds, pods = await _operator(api, job(f"bench-{nodes}-{repeat}", nodes, selector))
        reference = await _bare_client(api, pods)
        if repeat:  # the first pair warms caches and connections
            ours.append(seconds)
            bare.append(reference)
    return {
        "operator_s": statistics.median(ours),
        "bare_client_s": statistics.median(bare),
        "ratio": statistics.median(mine / reference for mine, reference in zip(ours, bare, strict=True)),
    }


async def _operator(api: Api, body: dict[str, Any]) -> tuple[float, list[dict[str, Any]]]:
    name, nodes = body["metadata"]["name"], body["spec"]["workers"]["nodes"]
    selector = f"labelSelector={API_GROUP}/job={name}"
    waits = [
        asyncio.create_task(wait_labelled(api, kind, selector, count))
        for kind, count in (("pods", nodes), ("services", 1), ("configmaps", 1))
    ]
    await asyncio.sleep(0.3)  # the watches are open, the control plane is idle
    started = time.perf_counter()
    await api.post(f"/apis/{API_GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}", body)
    await asyncio.gather(*waits)
    seconds = time.perf_counter() - started
    pods = (await api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}"))["items"]
    await api.delete(f"/apis/{API_GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}/{name}")
    await until_no_pods(api)
    return seconds, pods


async def _bare_client(api: Api, pods: list[dict[str, Any]]) -> float:
    bodies = [fresh_pod(pod, f"bare-{pod['metadata']['name']}") for pod in pods]
    wait = asyncio.create_task(wait_labelled(api, "pods", "labelSelector=bench=bare", len(bodies)))
    await asyncio.sleep(0.3)
    started = time.perf_counter()
    await gather_bounded(32, *(api.post(f"/api/v1/namespaces/{NAMESPACE}/pods", body) for body in bodies))
    await wait
    seconds = time.perf_counter() - started
    await api.delete(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=bench=bare&gracePeriodSeconds=0")
    await until_no_pods(api)
    return seconds


def fresh_pod(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """The operator's own pod, as nobody's: same size on the wire, no owner."""
    body = {"metadata": {"name": name}, "spec": copy.deepcopy(pod["spec"])}
    body["metadata"]["labels"] = {"bench": "bare", **{f"pad/{i}": "x" for i in range(4)}}
    body["spec"].pop("nodeName", None)
    return body


async def wait_labelled(api: Api, kind: str, selector: str, count: int) -> None:
    """Until `count` objects exist. The API server may end a watch at any time, so it is opened again."""
    path = f"/api/v1/namespaces/{NAMESPACE}/{kind}?{selector}"
    while True:
        listing = await api.get(path)
        seen, version = len(listing["items"]), listing["metadata"]["resourceVersion"]
        if seen >= count:
            return
        async with api.session.get(f"{api.server}{path}&watch=1&resourceVersion={version}") as response:
            async for line in response.content:
                seen += b'"type":"ADDED"' in line[:40]
                if seen >= count:
                    return


async def until_no_pods(api: Api) -> None:
    for _ in range(600):
        if not (await api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?limit=1"))["items"]:
            return
        await asyncio.sleep(0.2)
    raise RuntimeError("pods of the last run are still there after two minutes")
