"""Passes a rank's output on to the pod's log and keeps the last lines of it. Used by `ranks`.

On threads of its own: a log that nobody reads blocks these and the rank, as it would without a launcher, and never what
the launcher answers or how it heeds a signal.
"""

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Final

from ..failure import reason_in_log

TAIL_LINES: Final = 40
TELLING_LINES: Final = 20
TELLING_SECONDS: Final = 120.0
"""How long before its end a rank may have named the cause. Trouble that it got over earlier is none."""
CHUNK_BYTES: Final = 65536
LINE_BYTES: Final = 16384
DRAIN_SECONDS: Final = 2.0
DRAIN_POLL_SECONDS: Final = 0.01
STDOUT: Final = 1
STDERR: Final = 2
TURN: Final = threading.Lock()
"""Held while lines are written: a pipe takes what is longer than 4 KiB in pieces, and all ranks write to one log."""


class RankOutput:
    """Standard output and error of one rank: rank 0's as they are, so that the log of a run reads as one program's;
    the others' lines are marked."""

    def __init__(
        self, rank: int, process: "subprocess.Popen[bytes]", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._telling: deque[tuple[float, str]] = deque(maxlen=TELLING_LINES)
        self._prefix = f"[rank {rank}] ".encode() if rank else b""
        self._tails: dict[int, deque[str]] = {STDOUT: deque(maxlen=TAIL_LINES), STDERR: deque(maxlen=TAIL_LINES)}
        self._threads = [
            threading.Thread(target=self._pump, args=(source, descriptor), daemon=True)
            for source, descriptor in ((process.stdout, STDOUT), (process.stderr, STDERR))
            if source is not None
        ]
        for thread in self._threads:
            thread.start()

    @property
    def tail(self) -> str:
        """Its last lines. Those of standard error stand last, where the reason is: a rank that says much on the other
        does not push them out."""
        return "\n".join(line for tail in self._tails.values() for line in list(tail))

    @property
    def telling(self) -> str:
        """The lines shortly before its end that speak of a cause. Python's stacks of all threads, after an abort, push
        them out of the tail."""
        since = self._clock() - TELLING_SECONDS
        return "\n".join(line for said, line in list(self._telling) if said >= since)

    async def drained(self) -> None:
        """Wait until the end of it is passed on; not for long, since another process may hold the pipe open."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < deadline:
            await asyncio.sleep(DRAIN_POLL_SECONDS)

    def _pump(self, source: IO[bytes], descriptor: int) -> None:
        rest = b""
        with source:
            while chunk := os.read(source.fileno(), CHUNK_BYTES):
                lines = (rest + chunk).splitlines(keepends=True)
                complete = lines[-1].endswith((b"\n", b"\r")) or len(lines[-1]) > LINE_BYTES
                rest = b"" if complete else lines.pop()
                self._pass_on(lines, descriptor)
            if rest:
                self._pass_on([rest + b"\n"], descriptor)

    def _pass_on(self, lines: list[bytes], descriptor: int) -> None:
        texts = [line.decode(errors="replace").rstrip() for line in lines]
        self._tails[descriptor] += texts
        self._telling += [(self._clock(), said) for text in texts if (said := reason_in_log(text)[1])]
        # What cannot be written is lost: a rank must not end because nobody reads its log, or a disk is full of it.
        with contextlib.suppress(OSError), TURN:
            for line in lines:  # one by one, so that the launcher's own lines come between them and not into them
                _write(descriptor, self._prefix + line)


def _write(descriptor: int, content: bytes) -> None:
    """Without a buffer, which would keep what could not be written, and change the exit code when it is flushed."""
    while content:
        content = content[os.write(descriptor, content) :]
