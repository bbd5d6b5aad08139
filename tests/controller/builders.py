"""Tiny builders: what the operator sees, with only what a test is about spelled out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from peft_fsdp_api.job import PeftFsdpJob, parse_job
from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.reasons import REASONS, Reason
from peft_fsdp_api.status import JobStatus, Phase
from peft_fsdp_operator.seen import ContainerEnd, Observed, PodSeen, Words
from peft_fsdp_operator.times import stamp

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    return stamp(NOW + timedelta(seconds=seconds))


def job(nodes: int = 2, gpus: int = 8, **spec: Any) -> PeftFsdpJob:
    return parse_job(
        {
            "apiVersion": "training.peft-fsdp.io/v1alpha1",
            "kind": "PeftFsdpJob",
            "metadata": {"name": "tune", "namespace": "team", "uid": "u1", "generation": 1},
            "spec": {
                "model": {"source": "org/model"},
                "dataset": {"source": "org/data", "trainSplit": "train"},
                "output": {"claim": "models"},
                **spec,
                "workers": {"nodes": nodes, "gpusPerNode": gpus, **spec.get("workers", {})},
            },
        }
    )


def pod(worker: int = 0, attempt: int = 1, **facts: Any) -> PodSeen:
    return PodSeen(
        namespace="team",
        name=f"tune-{attempt}-{worker}",
        uid=f"pod-{attempt}-{worker}",
        resource_version=1,
        owner_name="tune",
        owner_uid="u1",
        attempt=attempt,
        worker=worker,
        created=at(-60),
        node=facts.pop("node", f"node-{worker}"),
        **facts,
    )


def running(worker: int = 0, attempt: int = 1, **facts: Any) -> PodSeen:
    return pod(worker, attempt, phase="Running", trainer_running=True, **facts)


def ended(
    worker: int = 0, code: int = 0, message: str = "", reason: str = "", after: float = 0, **facts: Any
) -> PodSeen:
    end = ContainerEnd(code, reason or ("Error" if code else "Completed"), message, at(after))
    return pod(worker, phase="Failed" if code else "Succeeded", trainer_end=end, **facts)


def failed(worker: int, reason: Reason, after: float = 0, **facts: Any) -> PodSeen:
    """A worker whose launcher left an Outcome."""
    outcome = Outcome(reason=reason, message=f"worker {worker} says {reason}", rank=worker * 8)
    return ended(worker, REASONS[reason].exit_code or 1, outcome.to_termination_message(), after=after, **facts)


def waiting(worker: int, reason: str, message: str = "as the kubelet says") -> PodSeen:
    return pod(worker, waiting=Words(reason, message))


def status(phase: Phase | None = Phase.RUNNING, attempt: int = 1, **fields: Any) -> JobStatus:
    times = {"start_time": at(-100), "attempt_time": at(-100)} if attempt else {}
    if phase is Phase.RUNNING:
        times["running_since"] = at(-60)
    return JobStatus(phase=phase, attempt=attempt, **{**times, **fields})


def seen(*pods: PodSeen, of: PeftFsdpJob | None = None, then: JobStatus | None = None, **facts: Any) -> Observed:
    return Observed(of or job(), then or status(), pods, **facts)
