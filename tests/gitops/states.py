"""A job in each of its states, as the operator's own code writes it, and what kstatus must say of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from peft_fsdp_api.crd import UNSEEN
from peft_fsdp_api.names import API_VERSION, KIND
from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.schema import Problem
from peft_fsdp_api.status import JobStatus, Phase, ProgressStatus
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import decide, report_invalid
from peft_fsdp_operator.decision import Decision
from peft_fsdp_operator.seen import LauncherReport, Pulse, Silence, Words
from tests.controller.builders import NOW, at, ended, failed, job, pod, running, seen, status, waiting

UNSCHEDULED = Words("Unschedulable", "0/4 nodes are available: 4 Insufficient nvidia.com/gpu.")
HANGS = Pulse(NOW - timedelta(hours=2), NOW, rank=5, worker=0, stages=frozenset([Stage.TRAIN]))
SILENT = Silence("NodeNotReady", f"not ready since {at(-10)}: Kubelet stopped", at(-10))
METADATA = {"name": "tune", "namespace": "team", "generation": 1}
WRITTEN = {
    "model": {"source": "org/model"},
    "dataset": {"source": "org/data"},
    "workers": {"nodes": 2, "gpusPerNode": 8},
    "output": {"claim": "models"},
}


@dataclass(frozen=True)
class State:
    """A name, the object, and the verdict."""

    name: str
    object: dict[str, Any]
    kstatus: str


BROKEN = [Problem("spec.lora.rank", "must be 1 or more")]


def states() -> list[State]:
    """Every state, in the order of a job's life."""
    rest = job(suspend=True)
    resting = {**WRITTEN, "suspend": True}
    decisions = [
        ("pending", decide(seen(then=JobStatus()), NOW), "InProgress"),
        ("starting", decide(seen(pod(0), pod(1), then=status(Phase.STARTING)), NOW), "InProgress"),
        ("unschedulable", _starting(pod(0, unscheduled=UNSCHEDULED, node=None)), "InProgress"),
        ("image-retried", _starting(waiting(0, "ImagePullBackOff")), "InProgress"),
        ("image-hopeless", _starting(waiting(0, "InvalidImageName")), "Failed"),
        ("loading", _running("load"), "InProgress"),
        ("training", _running("train"), "Current"),
        ("node-silent", _running("train", silent_nodes={"node-1": SILENT}), "InProgress"),
        ("stalled", _running("train", HANGS, then=status(running_since=at(-7300))), "Failed"),
        ("restarting", decide(seen(failed(0, Reason.APPLICATION_ERROR), running(1)), NOW), "InProgress"),
        ("suspending", decide(seen(running(0), running(1), of=rest), NOW), "InProgress"),
        ("suspended", decide(seen(of=rest, then=status(Phase.SUSPENDING)), NOW), "Current"),
        ("succeeded", decide(seen(ended(0), ended(1)), NOW), "Current"),
        ("failed", decide(seen(failed(0, Reason.DATASET_INVALID), running(1)), NOW), "Failed"),
        ("invalid", report_invalid(JobStatus(), 1, BROKEN, [], False, NOW), "Failed"),
    ]
    found = [
        State(name, _object(decision, resting if name in ("suspending", "suspended") else WRITTEN), verdict)
        for name, decision, verdict in decisions
    ]
    training = next(one.object for one in found if one.name == "training")
    changed = {**training, "metadata": {**training["metadata"], "generation": 2}}
    deleted = {**training, "metadata": {**training["metadata"], "deletionTimestamp": "2026-11-22T12:00:00Z"}}
    new = {**training, "status": UNSEEN}
    return [
        State("new", new, "InProgress"),
        *found,
        State("changed", changed, "InProgress"),
        State("deleted", deleted, "Terminating"),
    ]


def _starting(first: Any) -> Decision:
    return decide(seen(first, pod(1), then=status(Phase.STARTING)), NOW)


def _running(stage: str, pulse: Pulse | None = None, **facts: Any) -> Decision:
    progress = ProgressStatus(stage=stage, step=1240, total_steps=5000, summary="1240/5000", remaining="1h12m")
    progress = progress if stage == "train" else ProgressStatus(stage=stage)
    report = LauncherReport(1, progress, None, pulse)
    return decide(seen(running(0), running(1), report=report, **facts), NOW)


def _object(decision: Decision, spec: dict[str, Any]) -> dict[str, Any]:
    status = with_conditions(decision, [], NOW).to_wire()
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": METADATA, "spec": spec, "status": status}
