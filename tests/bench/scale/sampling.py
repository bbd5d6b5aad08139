"""Memory, processor time and queue of the operator, every two seconds while a figure is taken."""

import threading
import time
import urllib.request
from dataclasses import dataclass, field

from tests.bench.operator_process import OperatorProcess

STEP = 2.0
DEPTH = "peft_fsdp_operator_queue_depth"


@dataclass(frozen=True)
class Sample:
    """One look at the operator, `at` seconds after the sampler began."""

    at: float
    memory_mib: float
    cpu_seconds: float
    queue_depth: float


@dataclass
class Sampler:
    """Samples between `with` and its end."""

    operator: OperatorProcess
    samples: list[Sample] = field(default_factory=list)

    def __enter__(self) -> "Sampler":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def peak_mib(self) -> float:
        return max(sample.memory_mib for sample in self.samples)

    def _run(self) -> None:
        started = time.monotonic()
        while not self._stop.is_set():
            operator = self.operator
            depth = read_metrics(operator.port).get(DEPTH, 0.0)
            at = time.monotonic() - started
            self.samples.append(Sample(at, operator.resident_mib(), operator.cpu_seconds(), depth))
            self._stop.wait(STEP)


def read_metrics(port: int) -> dict[str, float]:
    """What the operator tells Prometheus: name with labels -> value. Empty where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def jobs_in(port: int, phase: str) -> float:
    """How many jobs the operator says are in a phase."""
    return read_metrics(port).get(f'peft_fsdp_jobs{{phase="{phase}"}}', 0.0)
