"""What a job needs and neither the flags nor the Accelerate file can know: the options of `convert`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DEFAULT_CLAIM: Final = "models"
DEFAULT_TOKEN_SECRET: Final = "hf-token"
CPUS_PER_GPU: Final = 4
GIB_PER_GPU: Final = 32
GIB_PER_GPU_OFFLOADED: Final = 40
"""Room for the shards that offloading keeps in host memory."""

OPTION_OF: Final[Mapping[str, str]] = {
    "output.claim": "--claim",
    "cache.claim": "--cache-claim",
    "hub.tokenSecret": "--token-secret",
    "workers.resources.requests.cpu": "--cpu",
    "workers.resources.requests.memory": "--memory",
}
"""Path below `spec` -> the option that gives it."""


@dataclass(frozen=True)
class Options:
    """Absent ones are chosen, and the choice is said."""

    name: str | None = None
    claim: str | None = None
    token_secret: str | None = None
    fsdp_version: int = 2
    cpu: str | None = None
    memory: str | None = None
    cache_claim: str | None = None
