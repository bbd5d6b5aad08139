"""Collects the exit of every child process, as PID 1 must: ranks and the orphans they leave behind.

One place waits for children, because a second waiter could take away the exit code of a rank.
"""

import asyncio
import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36


class Reaper:
    """Turns SIGCHLD into futures. Orphans are adopted also when the launcher is not PID 1 (`peft-fsdp run`)."""

    def __init__(self) -> None:
        self._watched: dict[int, asyncio.Future[int]] = {}

    def listen(self) -> None:
        """Take over the child processes of this process; call it in the main thread before any starts."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def watch(self, pid: int) -> asyncio.Future[int]:
        """The exit code of a child, negative for a signal. Call it in the same callback that started the child."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watched[pid] = future
        return future

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            future = self._watched.pop(pid, None)
            if future is not None:
                future.set_result(os.waitstatus_to_exitcode(status))
