"""What must be on the machine. Each missing thing is one sentence that says what to install; all are told at once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.layout import cache_dir
from dev.cluster.progress import say
from dev.cluster.versions import required_go

_FIRST_BUILD_GIB = 40
"""Go's caches, the packages, the images in three places, and what buildah needs in between. Below it the node may run
out of disk on the way, and says so."""
_FREE_DISK_GIB = 20
_FREE_DISK_LATER_GIB = 5
_PYTHON = (3, 11)


def check_programs() -> None:
    """For a control plane alone."""
    _raise(_system_problems())


def check_go() -> None:
    _raise(go_problems())


def check_full() -> None:
    """For a cluster with a node, before anything is installed, built or started."""
    _raise(full_problems())
    if not _has_built():
        for problem in disk_problems(_FIRST_BUILD_GIB):
            say(f"warning: for a first build {problem}")


def full_problems() -> list[str]:
    needed = _FREE_DISK_LATER_GIB if _has_built() else _FREE_DISK_GIB
    return [*_system_problems(), *_root_problems(), *disk_problems(needed)]


def go_problems() -> list[str]:
    need = ".".join(required_go().split(".")[:2])
    go = shutil.which("go")
    if go is None:
        return [
            f"Go {need} or newer is needed to build Kubernetes: install it from https://go.dev/dl/ and put it on PATH"
        ]
    found = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    if _numbers(found) < _numbers(need):
        return [
            f"Go {need} or newer is needed to build Kubernetes, {found} is on PATH: install a newer one from https://go.dev/dl/"
        ]
    return []


def disk_problems(needed_gib: int) -> list[str]:
    place = cache_dir()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    if free < needed_gib:
        remedy = "free some or set PEFT_FSDP_CACHE to another disk"
        return [f"{needed_gib} GiB of free disk are needed under {cache_dir()}, {free:.0f} are free: {remedy}"]
    return []


def _system_problems() -> list[str]:
    problems = []
    if sys.platform != "linux":
        problems.append(f"Linux is needed, this is {sys.platform}: use a Linux machine or virtual machine")
    if sys.version_info < _PYTHON:
        problems.append(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: install a newer one")
    if shutil.which("openssl") is None:
        problems.append("openssl is needed to make certificates: apt-get install openssl")
    return problems


def _root_problems() -> list[str]:
    problems = []
    if os.geteuid() != 0:
        problems.append("root is needed to start containers: run this with sudo")
    if shutil.which("apt-get") is None and not Path("/usr/bin/containerd").exists():
        problems.append("Debian or Ubuntu is needed (containerd and its tools come from apt): use such a machine")
    return problems


def _has_built() -> bool:
    return (cache_dir() / "registry").exists()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _raise(problems: list[str]) -> None:
    if problems:
        raise ClusterError("\n".join(problems))
