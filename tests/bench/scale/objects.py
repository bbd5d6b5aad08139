"""What the bench posts: jobs, and the very objects that the operator makes of them, as nobody's."""

from typing import Any

import orjson

from peft_fsdp_api.job import parse_job
from peft_fsdp_api.names import API_VERSION, GROUP, KIND, PLURAL, VERSION
from peft_fsdp_operator.render import render_configmap, render_pods, render_service

NAMESPACE = "scale"
IMAGE = "registry.example/peft-fsdp-trainer:bench"
CLAIM = "models"
Object = dict[str, Any]
KINDS = {"Pod": "pods", "Service": "services", "ConfigMap": "configmaps"}


def job(name: str, pods: int, namespace: str = NAMESPACE) -> Object:
    """A job whose pods have one GPU each; its claim exists and is ReadWriteMany."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"source": "meta-llama/Llama-3.1-8B"},
            "dataset": {"source": "HuggingFaceH4/ultrachat_200k", "trainSplit": "train_sft"},
            "workers": {"nodes": pods, "gpusPerNode": 1},
            "output": {"claim": CLAIM},
        },
    }


def jobs_path(namespace: str = NAMESPACE, name: str = "") -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}" + (f"/{name}" if name else "")


def post_job(name: str, pods: int, namespace: str = NAMESPACE) -> Object:
    """The request that applies a job."""
    body = orjson.dumps(job(name, pods, namespace)).decode()
    return {"method": "POST", "path": jobs_path(namespace), "body": body}


def delete_job(name: str) -> Object:
    return {"method": "DELETE", "path": jobs_path(name=name)}


def post_children(name: str, pods: int, attempt: int = 1) -> list[Object]:
    """The requests of a bare client: Service, ConfigMap and pods of a job, without owner and without our label."""
    raw = job(name, pods)
    raw["metadata"] |= {"uid": f"bare-{name}", "generation": 1}
    parsed = parse_job(raw)
    shared = [render_service(parsed), render_configmap(parsed)] if attempt == 1 else []
    return [_bare(body) for body in shared + render_pods(parsed, attempt, range(pods), IMAGE)]


def delete_pods(name: str, workers: range, attempt: int = 1) -> list[Object]:
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    return [{"method": "DELETE", "path": f"{path}/{name}-{attempt}-{worker}"} for worker in workers]


def take_pod_away(name: str, worker: int = 0, attempt: int = 1) -> Object:
    """The request of a kubelet whose pod was evicted: the first restart after that has no wait."""
    status = {
        "phase": "Failed",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}],
    }
    return {
        "method": "PATCH",
        "path": f"/api/v1/namespaces/{NAMESPACE}/pods/{name}-{attempt}-{worker}/status",
        "body": orjson.dumps({"status": status}).decode(),
        "type": "application/strategic-merge-patch+json",
    }


def _bare(body: Object) -> Object:
    metadata = body["metadata"]
    del metadata["ownerReferences"]
    metadata["labels"] = {f"bare-{index}": value for index, value in enumerate(metadata["labels"].values())}
    if body["kind"] == "Service":
        body["spec"]["selector"] = {f"bare-{index}": value for index, value in enumerate(("x", "y"))}
    path = f"/api/v1/namespaces/{NAMESPACE}/{KINDS[body['kind']]}"
    return {"method": "POST", "path": path, "body": orjson.dumps(body).decode()}
