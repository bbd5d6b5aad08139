"""Hands requests to the poster, a separate process, and waits for what they set off."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from tests.bench.scale.objects import Object

LONGEST = 600.0
POSTER = "tests.bench.scale.poster"


class Poster:
    """Sends requests from a process of its own."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig, self._folder = kubeconfig, folder
        self._plans = 0

    def send(self, requests: Iterable[Object]) -> None:
        """Send all, and return when all were answered. Raises RuntimeError where one was refused."""
        self.finish(self.start(requests))

    def start(self, requests: Iterable[Object]) -> subprocess.Popen[bytes]:
        """Begin to send; `finish` waits for the end."""
        return self._start(POSTER, (orjson.dumps(request) for request in requests))

    def run(self, module: str, lines: Iterable[bytes]) -> None:
        """Run another client of the bench on a plan of its own."""
        self.finish(self._start(module, lines))

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for a process that was started. Raises RuntimeError where it failed, or was refused something."""
        output, _ = process.communicate(timeout=LONGEST)
        if process.returncode or (output and orjson.loads(output)["refused"]):
            raise RuntimeError(f"the load could not be posted: {output.decode()}")

    def _start(self, module: str, lines: Iterable[bytes]) -> subprocess.Popen[bytes]:
        self._plans += 1
        plan = self._folder / f"plan-{self._plans}.jsonl"
        plan.write_bytes(b"".join(line + b"\n" for line in lines))
        return subprocess.Popen(
            [sys.executable, "-m", module, str(self._kubeconfig), str(plan)], stdout=subprocess.PIPE
        )


def wait_until(is_done: Callable[[], bool], what: str, seconds: float = LONGEST, step: float = 0.5) -> None:
    """Ask until it is so. Raises RuntimeError after `seconds`."""
    end = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds:g} s: {what}")
        time.sleep(step)
