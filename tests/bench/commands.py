"""The wall time of the commands of the README, as a person waits for them: with the caches of an earlier run."""

import subprocess
import time
from pathlib import Path

from tests.bench.report import Figure

ROOT = Path(__file__).parents[2]
BARS = {"check": 120.0, "demo": 180.0, "test": 1500.0}
"""Seconds, with everything built."""


def measure() -> list[Figure]:
    """One run each: `make test` alone takes longer than all other parts of the bench."""
    figures = []
    for target, bar in BARS.items():
        try:
            figures.append(Figure(f"make {target}, warm", _seconds(target), "s", bar))
        finally:
            if target == "demo":
                _run("demo-down")  # beside its cluster `make test` would leave out what brings clusters up and down
    return figures


def _seconds(target: str) -> float:
    started = time.monotonic()
    _run(target)
    return time.monotonic() - started


def _run(target: str) -> None:
    subprocess.run(["make", target], cwd=ROOT, check=True)
