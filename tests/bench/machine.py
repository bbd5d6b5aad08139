"""Facts of the machine that a figure was measured on."""

import os
import platform
from pathlib import Path


def machine_facts() -> dict[str, str]:
    """Processor, cores, memory, kernel and Python."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal:"))
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory.split()[1]) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
