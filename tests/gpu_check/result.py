"""What a run says in numbers: steps with their loss, speed after the warm-up, memory. Made by `runs`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import harmonic_mean

from tests.gpu_check.baseline_marks import STARTS
from tests.gpu_check.watch import Watched

STEP = re.compile(r"step (\d+)/\d+: loss ([\d.]+|nan|inf), .*? (\d+) tokens/s")
LOADED = "parameters trained;"
"""In the line that the trainer logs when the model is loaded and before the first step."""


@dataclass(frozen=True)
class RunResult:
    """The figures of one run; memory in bytes, of all processes together on the host and of the fullest GPU."""

    tokens_per_second: float | None
    losses: tuple[float, ...]
    host_peak: int
    gpu_peak: int
    host_load_peak: int
    gpu_load_peak: int
    problem: str = ""
    """Why there are no figures: the run's last lines."""
    note: str = ""
    """What was changed so that it runs."""

    @property
    def peak(self) -> int:
        """The memory that decides where it fits: that of the GPU, or of the host without one."""
        return self.gpu_peak or self.host_peak


def warm_up(steps: int) -> int:
    """Steps at the start that are not timed: kernels are chosen and compiled in them."""
    return max(1, steps // 4)


def of_ours(watched: Watched, steps: int) -> RunResult:
    """From the trainer's log."""
    found = {int(match[1]): match for _, line in watched.lines if (match := STEP.search(line))}
    rates = [float(match[3]) for step, match in found.items() if step > warm_up(steps)]
    losses = tuple(float(match[2]) for match in found.values())
    complete = watched.code == 0 and len(found) == steps and all(rates)
    return _result(watched, LOADED, harmonic_mean(rates) if complete else None, losses)


def of_baseline(watched: Watched, file: Path, steps: int) -> RunResult:
    """From the file that the baseline writes at its end."""
    said = json.loads(file.read_text())["steps"] if file.exists() else []
    speed = None
    if watched.code == 0 and len(said) == steps:
        first, last = said[warm_up(steps) - 1], said[-1]
        speed = (last["tokens"] - first["tokens"]) / (last["time"] - first["time"])
    return _result(watched, STARTS, speed, tuple(float(step["loss"]) for step in said))


def _result(watched: Watched, loaded: str, speed: float | None, losses: tuple[float, ...]) -> RunResult:
    host, gpu = watched.peaks()
    if speed is not None and watched.time_of(loaded) is None:
        raise RuntimeError(f"the run is complete, but no line of it says {loaded!r}: when it had loaded is unknown")
    host_load, gpu_load = watched.peaks(watched.time_of(loaded))
    problem = "" if speed is not None else f"exit code {watched.code} after {len(losses)} steps:\n{watched.end}"
    return RunResult(speed, losses, host, gpu, host_load, gpu_load, problem)
