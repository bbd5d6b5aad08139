"""Claims of the demo and the copy of its input into one of them, through a pod, as on any cluster."""

import io
import json
import tarfile
from pathlib import Path

from dev.demo.target import Target

LOADER = "demo-loader"
RESTRICTED_POD = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def claim_manifest(name: str, mode: str, size: str = "2Gi") -> str:
    """A PersistentVolumeClaim of the default storage class, as JSON."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {"accessModes": [mode], "resources": {"requests": {"storage": size}}},
        }
    )


def pod_manifest(name: str, image: str, command: list[str], claims: dict[str, str]) -> str:
    """A pod under the restricted pod security level; `claims` maps claim names to mount paths."""
    volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    mounts = [{"name": claim, "mountPath": path} for claim, path in claims.items()]
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "securityContext": RESTRICTED_CONTAINER,
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": mounts,
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "securityContext": RESTRICTED_POD,
                "containers": [container],
                "volumes": volumes,
            },
        }
    )


def fill_claim(target: Target, namespace: str, claim: str, folder: Path) -> None:
    """Copy the content of a folder into a claim: a pod that mounts it, and tar through `kubectl exec`."""
    pod = pod_manifest(LOADER, target.trainer_image, ["sleep", "600"], {claim: "/claim"})
    delete_pod(target, namespace, LOADER)  # one that an interrupted demo left has ended, and would never be ready
    target.run("apply", "-n", namespace, "-f", "-", input=pod)
    target.run("wait", "-n", namespace, "--for=condition=Ready", "--timeout=600s", f"pod/{LOADER}")
    target.run(
        "exec", "-i", "-n", namespace, LOADER, "--",
        "tar", "-x", "--no-same-owner", "--no-same-permissions", "-C", "/claim",
        input=_tar(folder),
    )  # fmt: skip
    delete_pod(target, namespace, LOADER)


def delete_pod(target: Target, namespace: str, name: str) -> None:
    """Until it is gone, so that its name is free. It may not be there."""
    target.run("delete", "-n", namespace, f"pod/{name}", "--ignore-not-found", "--wait=true")


def _tar(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
    return buffer.getvalue()
