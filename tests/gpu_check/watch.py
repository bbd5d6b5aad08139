"""Runs a command, keeps its lines with their times, and samples its memory meanwhile. Called by `runs`."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.1
ERROR = re.compile(r"\w(Error|Exception): ")


@dataclass(frozen=True)
class Sample:
    """Memory at one moment: that of the command's processes, and that of the fullest GPU."""

    time: float
    host: int
    gpu: int


@dataclass
class Watched:
    """What a command did."""

    code: int = 0
    lines: list[tuple[float, str]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def peaks(self, until: float | None = None) -> tuple[int, int]:
        """Highest memory of host and GPU, up to a time."""
        samples = [sample for sample in self.samples if until is None or sample.time <= until]
        return max((s.host for s in samples), default=0), max((s.gpu for s in samples), default=0)

    def time_of(self, words: str) -> float | None:
        """When the first line with these words came."""
        return next((moment for moment, line in self.lines if words in line), None)

    @property
    def end(self) -> str:
        """The first errors, which a launcher's own words bury, and the last lines."""
        lines = [line for _, line in self.lines]
        errors = [line for line in lines[:-8] if ERROR.search(line)]
        return "\n".join(errors[:3] + lines[-8:])


def watch(command: Sequence[str], environment: Mapping[str, str], gpu_memory: Callable[[], int]) -> Watched:
    """Run the command to its end; its output is passed on to standard error."""
    watched, done = Watched(), threading.Event()
    print(f"$ {' '.join(command)}", file=sys.stderr, flush=True)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        sampler = threading.Thread(target=_sample, args=(process.pid, gpu_memory, watched.samples, done))
        sampler.start()
        assert process.stdout is not None
        for line in process.stdout:
            watched.lines.append((time.time(), line.rstrip()))
            print(f"  {line.rstrip()}", file=sys.stderr, flush=True)
        watched.code = process.wait()
    done.set()
    sampler.join()
    return watched


def _sample(root: int, gpu_memory: Callable[[], int], samples: list[Sample], done: threading.Event) -> None:
    while not done.wait(SAMPLE_SECONDS):
        samples.append(Sample(time.time(), host_memory(root), gpu_memory()))


def host_memory(root: int) -> int:
    """Bytes that the process and all below it hold for themselves: anonymous and shared memory, no cached files."""
    return sum(_held(pid) for pid in _family(root))


def _family(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (stat := _read(folder / "stat")):
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _held(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in _read(Path(f"/proc/{pid}/status")).splitlines() if ":" in line)
    return sum(int(fields.get(name, "0 kB").split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has ended since it was listed
