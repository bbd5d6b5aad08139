"""A real launcher in its own process, with ranks that run a few lines of Python instead of a training."""

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from peft_fsdp_api.job import parse_job
from peft_fsdp_api.names import API_VERSION, KIND
from peft_fsdp_api.outcome import Outcome, parse_outcome
from peft_fsdp_api.trainer_config import TrainerConfig, TrainerPaths, trainer_config
from tests.ports import free_port

DRIVER = Path(__file__).parent / "drive.py"
BEGINNING = """
import os, signal, sys, time
from pathlib import Path
rank, run_dir = int(os.environ["RANK"]), Path(os.environ["PEFT_FSDP_RUN_DIR"])
"""
REPORTER = """
from peft_fsdp_api.progress import Stage, TrainingProgress
from peft_fsdp_trainer.report import Reporter
reporter = Reporter(rank, run_dir)
"""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


def make_config(folder: Path) -> TrainerConfig:
    """The config of a small CPU job."""
    job = parse_job(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "test", "uid": "1"},
            "spec": {
                "model": {"source": "/model"},
                "dataset": {"source": "/data"},
                "output": {"claim": "out"},
                "workers": {"gpusPerNode": 0},
            },
        }
    )
    paths = TrainerPaths(output=f"{folder}/out", volume=str(folder), cache=str(folder), scratch=str(folder))
    return trainer_config(job, paths)


@dataclass
class Launcher:
    """A launcher process under test."""

    process: subprocess.Popen[str]
    run_dir: Path
    port: int
    message: Path
    output: str = field(default="", init=False)

    def finish(self, seconds: float = 60) -> Outcome:
        """Wait for its end; its outcome, which must be the termination message."""
        self.output = self.process.communicate(timeout=seconds)[0] or ""
        outcome = parse_outcome(self.message.read_text())
        assert outcome is not None, self.output
        return outcome

    def get(self, path: str) -> str:
        """What it answers on a path of its HTTP server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def wait_for(self, name: str) -> None:
        """Wait until a rank has made this file in the run folder."""
        wait_until(lambda: (self.run_dir / name).exists() or self.process.poll() is not None, f"{name} of a rank")
        assert (self.run_dir / name).exists(), self.process.communicate()[0]

    def rank_pid(self, rank: int) -> int:
        """The process of a rank that writes its number to `pid-<rank>`."""
        self.wait_for(f"pid-{rank}")
        file = self.run_dir / f"pid-{rank}"
        wait_until(lambda: bool(file.read_text()), f"the number in {file}")
        return int(file.read_text())


def write_settings(
    folder: Path, program: str, placement: dict[str, object], limits: dict[str, float]
) -> dict[str, Any]:
    """The settings of a launcher, for `drive.py`, with a config that the launcher accepts."""
    config = folder / "config.json"
    config.write_text(make_config(folder).model_dump_json(by_alias=True, exclude_none=True))
    defaults = {"attempt": 3, "node_rank": 0, "nodes": 1, "master_addr": "127.0.0.1", "master_port": 29500}
    given = {
        "placement": defaults | placement,
        "config": str(config),
        "run_dir": str(folder / "run"),
        "port": free_port(),
        "limits": limits,
        "program": BEGINNING + program,
        "termination_message": str(folder / "termination-log"),
    }
    (folder / "run").mkdir()
    (folder / "settings.json").write_text(json.dumps(given))
    return given


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Launcher]]:
    """Starts a launcher, `under` a command if one is given, and with another `stdout` than the one that is read here;
    what still runs at the end of the test is stopped."""
    started: list[Launcher] = []

    def start_launcher(
        program: str,
        *,
        ranks: int = 2,
        placement: dict[str, object] | None = None,
        under: Sequence[str] = (),
        stdout: int | IO[bytes] = subprocess.PIPE,
        **limits: float,
    ) -> Launcher:
        given = write_settings(tmp_path, program, {"ranks_per_node": ranks} | (placement or {}), limits)
        process = subprocess.Popen(
            [*under, sys.executable, str(DRIVER), str(tmp_path / "settings.json")],
            stdout=stdout,
            stderr=subprocess.STDOUT if stdout == subprocess.PIPE else subprocess.DEVNULL,
            text=True,
        )
        launcher = Launcher(process, Path(given["run_dir"]), given["port"], Path(given["termination_message"]))
        started.append(launcher)
        return launcher

    yield start_launcher
    for launcher in started:
        for _ in range(2):  # the second interrupt kills the ranks; a killed launcher would leave them behind
            launcher.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.process.communicate(timeout=2)
        launcher.process.kill()
        launcher.process.communicate()
