"""One line per step with the time it took, so that a long build is not mistaken for a hang."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dev.cluster.errors import ClusterError

_SIGN_OF_LIFE_SECONDS = 20.0


def say(text: str) -> None:
    """Progress goes to stderr: the output of `env` and `status` is for other programs."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    started = time.monotonic()
    say(f"{title} ...")
    yield
    say(f"{title}: done in {time.monotonic() - started:.1f} s")


def run_logged(
    command: Sequence[str], log: Path, title: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run a long command with its output in `log`, a sign of life now and then, and the log's end if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd)
        try:
            while True:
                try:
                    status = process.wait(_SIGN_OF_LIFE_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{title}: still at it after {time.monotonic() - started:.0f} s")
        except BaseException:
            process.kill()
            process.wait()
            raise
    if status != 0:
        raise ClusterError(f"{title} failed (exit {status}); the end of {log}:\n{last_lines(log)}")


def last_lines(log: Path, count: int = 15) -> str:
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def wait_until(condition: Callable[[], bool], what: str, timeout: float, log: Path | None = None) -> None:
    """Poll until `condition` holds; the error of a time-out carries the end of the log that explains it."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            tail = f"; the end of {log}:\n{last_lines(log)}" if log else ""
            raise ClusterError(f"{what}: not after {timeout:.0f} s{tail}")
        time.sleep(0.05)
