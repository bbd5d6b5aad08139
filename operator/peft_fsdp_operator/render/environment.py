"""Environment variables of the trainer container: rendezvous, folders, access to the Hub, and the user's own."""

from typing import Any, Final

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob

TOKEN_KEY: Final = "token"


def attempt_environment(job: PeftFsdpJob, attempt: int) -> list[dict[str, Any]]:
    """What all workers of an attempt share. The address holds the attempt: no stale DNS answer is ever used."""
    workers = job.spec.workers
    return [
        _plain(names.ENV_MASTER_ADDR, f"{job.name}-{attempt}-0.{job.name}"),
        _plain(names.ENV_MASTER_PORT, str(names.RENDEZVOUS_PORT)),
        _plain(names.ENV_NNODES, str(workers.nodes)),
        _plain(names.ENV_NPROC_PER_NODE, str(workers.ranks_per_node)),
        _plain(names.ENV_WORLD_SIZE, str(workers.world_size)),
        _plain(names.ENV_ATTEMPT, str(attempt)),
        _plain("HOME", names.SCRATCH_MOUNT),
        _plain("TMPDIR", "/tmp"),  # an emptyDir of the pod alone
        _plain("HF_HOME", f"{names.CACHE_MOUNT}/huggingface"),
        *_hub(job),
        *(variable.to_wire() for variable in workers.env),
    ]


def worker_environment(worker: int) -> list[dict[str, Any]]:
    """What tells one worker from another."""
    return [_plain(names.ENV_NODE_RANK, str(worker))]


def _hub(job: PeftFsdpJob) -> list[dict[str, Any]]:
    hub = job.spec.hub
    found: list[dict[str, Any]] = []
    if hub.endpoint:
        found.append(_plain("HF_ENDPOINT", hub.endpoint))
    if hub.offline:
        found.append(_plain("HF_HUB_OFFLINE", "1"))
    if hub.token_secret:
        reference = {"name": hub.token_secret, "key": TOKEN_KEY}
        found.append({"name": names.ENV_HUB_TOKEN, "valueFrom": {"secretKeyRef": reference}})
    return found


def _plain(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}
