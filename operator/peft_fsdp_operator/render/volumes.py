"""Volumes of a worker's pod: the output claim, the cache, private scratch space, shared memory and the config."""

from typing import Any, Final

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob

# NCCL and the data loader of a GPU node want gigabytes; gloo on CPUs a little. Only touched pages count.
SHARED_MEMORY_GPU: Final = "16Gi"
SHARED_MEMORY_CPU: Final = "1Gi"


def render_volumes(job: PeftFsdpJob) -> list[dict[str, Any]]:
    """The operator's own volumes and the user's."""
    spec = job.spec
    default = SHARED_MEMORY_GPU if spec.workers.gpus_per_node else SHARED_MEMORY_CPU
    size = spec.workers.shared_memory if spec.workers.shared_memory is not None else default
    cache: dict[str, Any] = {"emptyDir": {}}
    if spec.cache is not None:
        cache = {"persistentVolumeClaim": {"claimName": spec.cache.claim}}
    return [
        {"name": "peft-fsdp-output", "persistentVolumeClaim": {"claimName": spec.output.claim}},
        {"name": "peft-fsdp-cache", **cache},
        {"name": "peft-fsdp-config", "configMap": {"name": job.name}},
        {"name": "peft-fsdp-scratch", "emptyDir": {}},
        {"name": "peft-fsdp-tmp", "emptyDir": {}},
        {"name": "peft-fsdp-shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}},
        *spec.workers.volumes,
    ]


def render_mounts(job: PeftFsdpJob) -> list[dict[str, Any]]:
    """Where the trainer container sees them."""
    return [
        {"name": "peft-fsdp-output", "mountPath": names.OUTPUT_MOUNT},
        {"name": "peft-fsdp-cache", "mountPath": names.CACHE_MOUNT},
        {"name": "peft-fsdp-config", "mountPath": names.CONFIG_DIRECTORY, "readOnly": True},
        {"name": "peft-fsdp-scratch", "mountPath": names.SCRATCH_MOUNT},
        {"name": "peft-fsdp-tmp", "mountPath": "/tmp"},
        {"name": "peft-fsdp-shm", "mountPath": "/dev/shm"},
        *(mount.to_wire() for mount in job.spec.workers.volume_mounts),
    ]
