"""One rank as a child process: its environment and its end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from peft_fsdp_api import names

from ..rank_environment import ENV_CONFIG, ENV_RANK, ENV_RUN_DIR
from . import cgroup
from .output import RankOutput
from .reaper import Reaper
from .settings import LaunchSettings


@dataclass(frozen=True)
class RankExit:
    """How a rank ended."""

    rank: int
    code: int
    """Exit code; negative for a signal."""
    time: float
    """Unix time at which the launcher learned of it."""
    stopped: bool
    """The launcher had asked it to stop before."""
    killed: bool
    """The launcher had killed it."""
    tail: str
    """Last lines of its output."""
    telling: str
    """Lines shortly before its end that speak of a cause."""


class RankProcess:
    """A running rank."""

    def __init__(self, rank: int, process: subprocess.Popen[bytes], exited: asyncio.Future[int]) -> None:
        self.rank = rank
        self._process = process
        self._exited = exited
        self._output = RankOutput(rank, process)
        self._stopped = False
        self._killed = False

    async def wait(self) -> RankExit:
        """Its end, after the last of its output was passed on and its own children were killed."""
        code = await self._exited
        ended = time.time()
        self._process.returncode = code  # reaped by the Reaper; Popen must not wait for it again
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._output.drained()
        output = self._output
        return RankExit(self.rank, code, ended, self._stopped, self._killed, output.tail, output.telling)

    def stop(self) -> None:
        """Send SIGTERM to the rank alone: its data loader workers must outlive the save."""
        if not self._exited.done():
            self._stopped = True
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        if not self._exited.done():
            self._killed = True
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)


def start_ranks(settings: LaunchSettings, reaper: Reaper) -> list[RankProcess]:
    """Start every rank of this node, each in its own session so that Ctrl-C reaches only the launcher."""
    return [_start(rank, local_rank, settings, reaper) for local_rank, rank in enumerate(settings.placement.ranks)]


def _start(rank: int, local_rank: int, settings: LaunchSettings, reaper: Reaper) -> RankProcess:
    process = subprocess.Popen(
        settings.command,
        env=rank_environment(rank, local_rank, settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    return RankProcess(rank, process, reaper.watch(process.pid))


def rank_environment(rank: int, local_rank: int, settings: LaunchSettings) -> Mapping[str, str]:
    """The environment of one rank: the rendezvous, where to report, and what the launcher itself was given."""
    placement = settings.placement
    threads = max(1, cgroup.cpus() // placement.ranks_per_node)
    return {
        "OMP_NUM_THREADS": str(threads),
        **settings.environment,
        ENV_RANK: str(rank),
        "LOCAL_RANK": str(local_rank),
        "LOCAL_WORLD_SIZE": str(placement.ranks_per_node),
        names.ENV_WORLD_SIZE: str(placement.world_size),
        names.ENV_NODE_RANK: str(placement.node_rank),
        names.ENV_MASTER_ADDR: placement.master_addr,
        names.ENV_MASTER_PORT: str(placement.master_port),
        names.ENV_ATTEMPT: str(placement.attempt),
        ENV_CONFIG: str(settings.config),
        ENV_RUN_DIR: str(settings.run_dir),
        "PYTHONUNBUFFERED": "1",
        # A segmentation fault then leaves a Python traceback in the output.
        "PYTHONFAULTHANDLER": "1",
    }
