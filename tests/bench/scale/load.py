"""Hands requests to the poster, a separate process, and waits for what they set off."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from tests.bench.scale.objects import Object

LONGEST = 600.0


class Poster:
    """Sends requests from a process of its own."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig, self._folder = kubeconfig, folder
        self._plans = 0

    def send(self, requests: Iterable[Object]) -> None:
        """Send all, and return when all were answered. Raises RuntimeError where one was refused."""
        self.finish(self.start(requests))

    def start(self, requests: Iterable[Object], at: float = 0) -> subprocess.Popen[bytes]:
        self._plans += 1
        plan = self._folder / f"plan-{self._plans}.jsonl"
        plan.write_bytes(b"".join(orjson.dumps(request) + b"\n" for request in requests))
        command = [sys.executable, "-m", "tests.bench.scale.poster", str(self._kubeconfig), str(plan)]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        output, _ = process.communicate(timeout=LONGEST)
        if process.returncode or orjson.loads(output)["refused"]:
            raise RuntimeError(f"the poster failed: {output.decode()}")


def wait_until(is_done: Callable[[], bool], what: str, seconds: float = LONGEST, step: float = 0.5) -> None:
    """Ask until it is so. Raises RuntimeError after `seconds`."""
    end = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds:g} s: {what}")
        time.sleep(step)
