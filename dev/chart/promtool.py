"""promtool, which checks and tests the alert rules: from the PATH, or out of Debian's package, which is not installed:
it would start a Prometheus."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from dev.cluster.layout import cache_dir
from dev.cluster.progress import run_logged, step

PACKAGE = "prometheus"


class PromtoolError(RuntimeError):
    """promtool found something wrong; the message is what it printed."""


def run_promtool(*arguments: str, given: str | None = None) -> str:
    """What promtool prints about files, or about the text that it is given.

    Fetches the program where it is missing; raises PromtoolError where it finds something wrong.
    """
    done = subprocess.run([str(promtool()), *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PromtoolError(done.stdout + done.stderr)
    return done.stdout


def promtool() -> Path:
    """The program. One process at a time fetches it."""
    if found := shutil.which("promtool"):
        return Path(found)
    kept = cache_dir() / "promtool"
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / ".promtool.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            if not shutil.which("apt-get"):
                raise PromtoolError(
                    "promtool is needed to test the alert rules: install Prometheus, there is no apt-get"
                )
            _unpack(kept)
    return kept


def _unpack(target: Path) -> None:
    log = cache_dir() / "logs" / "promtool.log"
    with step(f"unpacking promtool from Debian's {PACKAGE}"), tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run_logged(["apt-get", "update"], log, "apt-get update", env=environment)
        run_logged(["apt-get", "download", PACKAGE], log, "apt-get download", env=environment, cwd=Path(folder))
        (package,) = Path(folder).glob("*.deb")
        run_logged(["dpkg-deb", "--extract", str(package), f"{folder}/root"], log, "dpkg-deb")
        (Path(folder) / "root" / "usr" / "bin" / "promtool").replace(target)
