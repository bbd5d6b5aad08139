"""Where the pods of a gang go. Stated in the pods, because no Service over all of them spreads them by default."""

from collections.abc import Sequence
from typing import Any, Final

from peft_fsdp_api import names
from peft_fsdp_api.durations import parse_duration
from peft_fsdp_api.job import PeftFsdpJob

SILENCE: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
BACKSTOP: Final = 60
"""Seconds after nodeLostTimeout at which the cluster itself takes pods off a silent node, if no operator did."""
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
    """The user's own, the taint that keeps other pods off GPU nodes, and that a node is silent for nodeLostTimeout: by
    default the cluster would take the pods away after five minutes, whatever the job says."""
    workers = job.spec.workers
    tolerations = [toleration.to_wire() for toleration in workers.tolerations]
    if workers.gpus_per_node:
        tolerations.append({"key": workers.gpu_resource, "operator": "Exists", "effect": "NoSchedule"})
    own = {toleration.get("key") for toleration in tolerations}
    return tolerations + [_patience(job, key) for key in SILENCE if key not in own]


def _patience(job: PeftFsdpJob, key: str) -> dict[str, Any]:
    seconds = int(parse_duration(job.spec.node_lost_timeout).total_seconds())
    toleration: dict[str, Any] = {"key": key, "operator": "Exists", "effect": "NoExecute"}
    return toleration | ({"tolerationSeconds": seconds + BACKSTOP} if seconds else {})


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
