"""What one launcher has to do, as values: read from the pod's environment by `cli`, or built by `local`."""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from peft_fsdp_api import names

from ..errors import ConfigInvalid

RANK_COMMAND: Final = (sys.executable, "-m", "peft_fsdp_trainer.rank")


@dataclass(frozen=True)
class Placement:
    """Where this launcher stands in the gang."""

    attempt: int
    node_rank: int
    nodes: int
    ranks_per_node: int
    master_addr: str
    master_port: int

    @property
    def world_size(self) -> int:
        """Ranks of the whole gang."""
        return self.nodes * self.ranks_per_node

    @property
    def ranks(self) -> range:
        """Global ranks of this node."""
        first = self.node_rank * self.ranks_per_node
        return range(first, first + self.ranks_per_node)


@dataclass(frozen=True)
class Limits:
    """How long the launcher waits, in seconds."""

    rendezvous: float = names.RENDEZVOUS_SECONDS
    """For worker 0's name and port to appear: the other pods may still pull their image."""
    grace: float = names.LAUNCHER_GRACE_SECONDS
    """From SIGTERM until ranks that have not saved are killed; shorter than the pod's grace period."""
    peers: float = 10
    """From the failure of a rank until its peers are killed, which may hang in a collective with it."""
    silence: float = 20
    """Longest silence of another node's launcher before its connection counts as broken."""
    reconnect: float = 5
    """From a broken connection until its launcher counts as lost."""


@dataclass(frozen=True)
class LaunchSettings:
    """Everything `launch` needs."""

    placement: Placement
    config: Path
    run_dir: Path
    """Private folder where the ranks leave reports and failures."""
    host: str | None = None
    """Address of the HTTP server; None listens on all."""
    port: int = names.LAUNCHER_PORT
    limits: Limits = Limits()
    command: tuple[str, ...] = RANK_COMMAND
    """The program of a rank."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """What the ranks inherit."""


def read_placement(environment: Mapping[str, str]) -> Placement:
    """The placement in a pod's environment. Raises ConfigInvalid naming every variable that is wrong."""
    problems: list[str] = []

    def number(name: str) -> int:
        value = environment.get(name, "")
        if value.isdecimal():
            return int(value)
        problems.append(f"{name} is {value!r}, not a number" if value else f"{name} is not set")
        return 0

    placement = Placement(
        attempt=number(names.ENV_ATTEMPT),
        node_rank=number(names.ENV_NODE_RANK),
        nodes=number(names.ENV_NNODES),
        ranks_per_node=number(names.ENV_NPROC_PER_NODE),
        master_addr=environment.get(names.ENV_MASTER_ADDR, ""),
        master_port=number(names.ENV_MASTER_PORT),
    )
    world_size = number(names.ENV_WORLD_SIZE)
    if not placement.master_addr:
        problems.append(f"{names.ENV_MASTER_ADDR} is not set")
    if not problems and world_size != placement.world_size:
        problems.append(
            f"{names.ENV_WORLD_SIZE} is {world_size}, but {names.ENV_NNODES} x {names.ENV_NPROC_PER_NODE} is "
            f"{placement.nodes} x {placement.ranks_per_node}"
        )
    if problems:
        raise ConfigInvalid("the environment of the pod is wrong: " + "; ".join(problems))
    return placement


def make_run_dir() -> Path:
    """A fresh private folder; in memory where there is a /dev/shm, because replacing a file on a disk costs
    milliseconds of a rank's time."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="peft-fsdp-", dir=memory if memory.is_dir() else None))
