"""Volumes for claims: folders of this machine as PersistentVolumes.

A small pool of them satisfies any claim; `volume NAME` (and `Cluster.volume`) makes one for a claim of that name and
says where its folder is, so that a test or a user can put data in and take an adapter out.
"""

import json
from pathlib import Path

from dev.cluster.kubectl import run_kubectl
from dev.cluster.layout import Layout

STORAGE_CLASS = "local"
_POOL = 8
_POOL_SIZE = "50Gi"
_MODES = {"RWO": "ReadWriteOnce", "RWX": "ReadWriteMany"}
Manifest = dict[str, object]


def offer_pool(layout: Layout) -> None:
    """The default storage class and unclaimed volumes of it, which one pod or many may mount."""
    names = [f"pool-{index}" for index in range(_POOL)]
    volumes = [_volume(name, _folder(layout, name), _POOL_SIZE, list(_MODES.values()), None) for name in names]
    _apply(layout, [_storage_class(), *volumes])


def make_volume(layout: Layout, name: str, namespace: str, size: str, mode: str) -> Path:
    """A claim `name` in `namespace` with a volume of its own; returns the volume's folder."""
    volume_name = f"{namespace}-{name}"
    folder = _folder(layout, volume_name)
    modes = [_MODES[mode]]
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": modes,
            "storageClassName": STORAGE_CLASS,
            "volumeName": volume_name,
            "resources": {"requests": {"storage": size}},
        },
    }
    _apply(layout, [_volume(volume_name, folder, size, modes, {"namespace": namespace, "name": name}), claim])
    return folder


def _folder(layout: Layout, name: str) -> Path:
    """Writable by every user: pods run as users that this machine does not know."""
    folder = layout.volumes / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    return folder


def _storage_class() -> Manifest:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": default},
        "provisioner": "kubernetes.io/no-provisioner",
    }


def _volume(name: str, folder: Path, size: str, modes: list[str], claim: dict[str, str] | None) -> Manifest:
    spec: Manifest = {
        "capacity": {"storage": size},
        "accessModes": modes,
        "storageClassName": STORAGE_CLASS,
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": str(folder), "type": "Directory"},
    }
    if claim:
        spec["claimRef"] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def _apply(layout: Layout, items: list[Manifest]) -> None:
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    run_kubectl(layout.kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", "-", input=manifest)
