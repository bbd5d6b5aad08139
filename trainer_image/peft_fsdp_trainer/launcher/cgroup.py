"""What the kernel says about this container's limits: out-of-memory kills and CPUs, for cgroup v1 and v2.

A rank killed for memory leaves no word; only the counter of its cgroup tells it from any other SIGKILL.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")


def oom_kills(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Processes of this cgroup that the kernel killed for memory so far; None where it keeps no count."""
    for file in ("memory.events", "memory.oom_control"):
        text = _read("memory", file, root, membership)
        for line in (text or "").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def cpus(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """CPUs this process may use: its affinity, lowered by the container's quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(root, membership)
    return max(1, min(available, math.ceil(quota))) if quota else available


def _cpu_quota(root: Path, membership: Path) -> float | None:
    text = _read("cpu", "cpu.max", root, membership)
    if text is not None:
        limit, period = text.split()
        return None if limit == "max" else int(limit) / int(period)
    limit_v1 = _read("cpu", "cpu.cfs_quota_us", root, membership)
    period_v1 = _read("cpu", "cpu.cfs_period_us", root, membership)
    if limit_v1 is None or period_v1 is None or int(limit_v1) <= 0:
        return None
    return int(limit_v1) / int(period_v1)


def _read(controller: str, file: str, root: Path, membership: Path) -> str | None:
    for folder in _folders(controller, root, membership):
        path = folder / file
        if path.is_file():
            return path.read_text()
    return None


def _folders(controller: str, root: Path, membership: Path) -> Iterator[Path]:
    """Where the files of this process's cgroup may lie: below its path, or at the top inside a container."""
    lines = membership.read_text().splitlines() if membership.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield root / path.lstrip("/")
            yield root
        elif controller in controllers.split(","):
            yield root / controllers / path.lstrip("/")
            yield root / controller / path.lstrip("/")
            yield root / controller
