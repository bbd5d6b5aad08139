"""Pods that nobody runs, moved by hand: bound to a node that does not exist, and given the status a kubelet would."""

import json
import time
from collections.abc import Callable
from typing import Any

from dev.cluster.instance import Cluster
from peft_fsdp_api import names

Object = dict[str, Any]


def get(cluster: Cluster, namespace: str, *arguments: str) -> Object:
    """An object or a list; empty where it does not exist."""
    text = cluster.kubectl("get", "-n", namespace, *arguments, "-o=json", "--ignore-not-found")
    return json.loads(text) if text.strip() else {}


def wait_for(what: str, ready: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of `ready`. Fails the test, naming `what`, when none comes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := ready():
            return value
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def bind(cluster: Cluster, namespace: str, pod: str, node: str) -> None:
    """What the scheduler does. The API server does not ask whether the node exists."""
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/binding"
    cluster.kubectl("create", f"--raw={path}", "-f", "-", input=json.dumps(binding))


def make_node(cluster: Cluster, name: str) -> None:
    """A node that is ready until the cluster finds that no kubelet says so, and has room for nothing."""
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"conditions": [ready]}}
    cluster.kubectl("create", "--raw=/api/v1/nodes", "-f", "-", input=json.dumps(manifest))


def set_running(cluster: Cluster, namespace: str, pod: str) -> None:
    _set(cluster, namespace, pod, "Running", {"running": {"startedAt": _now()}})


def set_succeeded(cluster: Cluster, namespace: str, pod: str) -> None:
    end = {"exitCode": 0, "reason": "Completed", "startedAt": _now(), "finishedAt": _now()}
    _set(cluster, namespace, pod, "Succeeded", {"terminated": end})


def _set(cluster: Cluster, namespace: str, pod: str, phase: str, state: Object) -> None:
    container = {
        "name": names.TRAINER_CONTAINER,
        "state": state,
        "ready": phase == "Running",
        "restartCount": 0,
        "image": "none",
        "imageID": "none",
    }
    status = json.dumps({"status": {"phase": phase, "containerStatuses": [container]}})
    cluster.kubectl("patch", "-n", namespace, f"pod/{pod}", "--subresource=status", "--type=merge", f"--patch={status}")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
