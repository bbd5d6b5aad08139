"""Where the pods of a gang go. Stated in the pods, because no Service over all of them spreads them by default."""

from collections.abc import Sequence
from typing import Any, Final

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob

PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def render_affinity(job: PeftFsdpJob, avoided_nodes: Sequence[str] = ()) -> dict[str, Any]:
    """The user's own, or: a node each where possible, in one rack or network block where that is named. Other nodes
    than those on which the job failed repeatedly are preferred in both cases."""
    user = job.spec.workers.affinity
    affinity = dict(user) if user is not None else _together(job)
    if avoided_nodes:
        by_node = dict(affinity.get("nodeAffinity") or {})
        by_node[PREFERRED] = [*(by_node.get(PREFERRED) or []), _other_than(avoided_nodes)]
        affinity["nodeAffinity"] = by_node
    return affinity


def render_tolerations(job: PeftFsdpJob) -> list[dict[str, Any]]:
    """The user's own, and the taint that keeps other pods off GPU nodes."""
    workers = job.spec.workers
    tolerations = [toleration.to_wire() for toleration in workers.tolerations]
    if workers.gpus_per_node:
        tolerations.append({"key": workers.gpu_resource, "operator": "Exists", "effect": "NoSchedule"})
    return tolerations


def _together(job: PeftFsdpJob) -> dict[str, Any]:
    workers = job.spec.workers
    if workers.nodes == 1:
        return {}
    affinity = {"podAntiAffinity": _preferred(job, "kubernetes.io/hostname")}
    if workers.topology_key:
        affinity["podAffinity"] = _preferred(job, workers.topology_key)
    return affinity


def _preferred(job: PeftFsdpJob, topology_key: str) -> dict[str, Any]:
    term = {
        "labelSelector": {"matchLabels": {names.LABEL_JOB_UID: job.metadata.uid}},
        "topologyKey": topology_key,
    }
    return {PREFERRED: [{"weight": 100, "podAffinityTerm": term}]}


def _other_than(nodes: Sequence[str]) -> dict[str, Any]:
    """A wish, not a must: a job must not wait for ever because its only node is under suspicion."""
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    return {"weight": 100, "preference": {"matchFields": fields}}
