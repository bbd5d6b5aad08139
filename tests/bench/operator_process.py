"""The operator as a process of its own, as it ships, against the bench's control plane."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

READY_SECONDS = 120


@dataclass(frozen=True)
class OperatorProcess:
    """A running operator."""

    pid: int
    log: Path
    port: int
    """Of its metrics, on loopback."""

    def resident_mib(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_operator(kubeconfig: Path, folder: Path) -> Iterator[OperatorProcess]:
    """The operator until the end of the block; it is ready when the block begins."""
    log, port = folder / "operator.log", free_port()  # another bench may run beside this one
    command = [
        str(Path(sys.executable).with_name("peft-fsdp-operator")), "run", "--no-election",
        "--trainer-image", "registry.example/peft-fsdp-trainer:bench",
        "--metrics-address", "127.0.0.1", "--metrics-port", str(port),
    ]  # fmt: skip
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        _wait_until_ready(process, port, log)
        yield OperatorProcess(process.pid, log, port)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"the operator is not ready; its log:\n{log.read_text()[-2000:]}")
