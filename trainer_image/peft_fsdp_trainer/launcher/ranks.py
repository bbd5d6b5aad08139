"""One rank as a child process: its environment, its output, its end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Final

from peft_fsdp_api import names

from ..rank_environment import ENV_CONFIG, ENV_RANK, ENV_RUN_DIR
from . import cgroup
from .reaper import Reaper
from .settings import LaunchSettings

TAIL_LINES: Final = 40
CHUNK_BYTES: Final = 65536
LINE_BYTES: Final = 16384
DRAIN_SECONDS: Final = 2.0


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


class RankProcess:
    """A running rank."""

    def __init__(self, rank: int, process: subprocess.Popen[bytes], exited: asyncio.Future[int]) -> None:
        self.rank = rank
        self._process = process
        self._exited = exited
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._stopped = False
        self._killed = False
        self._pumps = [
            asyncio.create_task(self._pump(source, target))
            for source, target in ((process.stdout, sys.stdout.buffer), (process.stderr, sys.stderr.buffer))
            if source is not None
        ]

    async def wait(self) -> RankExit:
        """Its end, after the last of its output was passed on and its own children were killed."""
        code = await self._exited
        ended = time.time()
        self._process.returncode = code  # reaped by the Reaper; Popen must not wait for it again
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.wait(self._pumps, timeout=DRAIN_SECONDS)
        for pump in self._pumps:
            pump.cancel()
        return RankExit(self.rank, code, ended, self._stopped, self._killed, "\n".join(self._tail))

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

    async def _pump(self, source: IO[bytes], target: IO[bytes]) -> None:
        """Pass output on: rank 0 as it is, so that the log of a run reads as one program's; the others marked."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
        prefix = f"[rank {self.rank}] ".encode() if self.rank else b""
        rest = b""
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                lines = (rest + chunk).splitlines(keepends=True)
                complete = lines[-1].endswith((b"\n", b"\r")) or len(lines[-1]) > LINE_BYTES
                rest = b"" if complete else lines.pop()
                self._pass_on(lines, prefix, target)
            if rest:
                self._pass_on([rest + b"\n"], prefix, target)
        finally:
            transport.close()

    def _pass_on(self, lines: list[bytes], prefix: bytes, target: IO[bytes]) -> None:
        for line in lines:
            target.write(prefix + line)
            self._tail.append(line.decode(errors="replace").rstrip())
        target.flush()


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
