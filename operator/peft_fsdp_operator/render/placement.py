"""Where the pods of a gang go. Stated in the pods, because no Service over all of them spreads them by default."""

from typing import Any

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob


def render_affinity(job: PeftFsdpJob) -> dict[str, Any] | None:
    """The user's own, or: a node each where possible, in one rack or network block where that is named."""
    workers = job.spec.workers
    if workers.affinity is not None:
        return workers.affinity
    if workers.nodes == 1:
        return None
    affinity = {"podAntiAffinity": _preferred(job, "kubernetes.io/hostname")}
    if workers.topology_key:
        affinity["podAffinity"] = _preferred(job, workers.topology_key)
    return affinity


def render_tolerations(job: PeftFsdpJob) -> list[dict[str, Any]]:
    """The user's own, and the taint that keeps other pods off GPU nodes."""
    workers = job.spec.workers
    tolerations = [toleration.to_wire() for toleration in workers.tolerations]
    if workers.gpus_per_node:
        tolerations.append({"key": workers.gpu_resource, "operator": "Exists", "effect": "NoSchedule"})
    return tolerations


def _preferred(job: PeftFsdpJob, topology_key: str) -> dict[str, Any]:
    term = {
        "labelSelector": {"matchLabels": {names.LABEL_JOB_UID: job.metadata.uid}},
        "topologyKey": topology_key,
    }
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
