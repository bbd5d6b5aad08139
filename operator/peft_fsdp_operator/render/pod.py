"""The pods of one attempt: born runnable under the `restricted` pod security level, on any image of ours."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob

from .environment import attempt_environment, worker_environment
from .identity import job_labels, owner_reference
from .placement import render_affinity, render_tolerations
from .volumes import render_mounts, render_volumes

DEFAULT_ANNOTATIONS: Final = {
    # A mesh's proxy would stand between the ranks and outlive the trainer.
    "sidecar.istio.io/inject": "false",
    "linkerd.io/inject": "disabled",
    # An autoscaler that moves a pod to save a node restarts the whole gang.
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}


def render_pods(
    job: PeftFsdpJob, attempt: int, workers: Iterable[int], image: str, avoided_nodes: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Pods of the given workers. `image` is used where the job names none. Parts that workers share are shared."""
    shared = _pod_spec(job, avoided_nodes)
    container = _container(job, image)
    environment = attempt_environment(job, attempt)
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": _metadata(job, attempt, worker),
            "spec": {
                **shared,
                "hostname": pod_name(job, attempt, worker),
                "containers": [{**container, "env": worker_environment(worker) + environment}],
            },
        }
        for worker in workers
    ]


def pod_name(job: PeftFsdpJob, attempt: int, worker: int) -> str:
    """Name and host name of a worker's pod."""
    return f"{job.name}-{attempt}-{worker}"


def _metadata(job: PeftFsdpJob, attempt: int, worker: int) -> dict[str, Any]:
    extra = job.spec.workers.pod_metadata
    numbers = {names.LABEL_ATTEMPT: str(attempt), names.LABEL_WORKER: str(worker)}
    return {
        "name": pod_name(job, attempt, worker),
        "namespace": job.metadata.namespace,
        "labels": {**extra.labels, **job_labels(job), **numbers},
        "annotations": {**DEFAULT_ANNOTATIONS, **extra.annotations},
        "ownerReferences": [owner_reference(job)],
    }


def _pod_spec(job: PeftFsdpJob, avoided_nodes: Sequence[str]) -> dict[str, Any]:
    workers = job.spec.workers
    optional = {
        "affinity": render_affinity(job, avoided_nodes),
        "nodeSelector": workers.node_selector,
        "priorityClassName": workers.priority_class_name,
        "runtimeClassName": workers.runtime_class_name,
        "serviceAccountName": workers.service_account_name,
        "imagePullSecrets": [secret.to_wire() for secret in workers.image_pull_secrets],
        "tolerations": render_tolerations(job),
    }
    return {
        "subdomain": job.name,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": names.TERMINATION_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": names.USER_ID,
            "runAsGroup": names.USER_ID,
            "fsGroup": names.USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": render_volumes(job),
        **{key: value for key, value in optional.items() if value},
    }


def _container(job: PeftFsdpJob, image: str) -> dict[str, Any]:
    workers = job.spec.workers
    container: dict[str, Any] = {
        "name": names.TRAINER_CONTAINER,
        "image": workers.image or image,
        "args": ["launch"],
        "ports": [{"name": "launcher", "containerPort": names.LAUNCHER_PORT, "protocol": "TCP"}],
        "resources": _resources(job),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": names.TERMINATION_MESSAGE_PATH,
        # Without an Outcome the last lines of the log are the next best thing.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": render_mounts(job),
    }
    if workers.env_from:
        container["envFrom"] = workers.env_from
    return container


def _resources(job: PeftFsdpJob) -> dict[str, Any]:
    """Extended resources are requested and limited alike; Kubernetes allows nothing else."""
    workers = job.spec.workers
    gpus = {workers.gpu_resource: workers.gpus_per_node} if workers.gpus_per_node else {}
    return {
        "requests": {**workers.resources.requests, **gpus},
        "limits": {**workers.resources.limits, **gpus},
    }
