"""Attempts of a job as processes: real launchers, of one node or two on loopback, with the ranks of `rank_forks`.

Used by `kills` and by the tests of how runs end.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft_fsdp_api.outcome import Outcome, parse_outcome
from peft_fsdp_api.reasons import exit_code
from tests.bench.rank_forks import RELAY, journal
from tests.ports import free_port
from tests.trainer.launcher.conftest import DRIVER, wait_until

RANKS = 2
"""Ranks of every attempt, on however many nodes."""
HOSTS = ("127.0.0.1", "127.0.0.2")
RANK_FROM_SCRATCH = "import runpy; runpy.run_module('peft_fsdp_trainer.rank', run_name='__main__')"
"""A rank that imports everything itself: for what is read from the environment while importing."""


@dataclass
class Attempt:
    """One launcher with its ranks, and what it left behind."""

    folder: Path
    process: subprocess.Popen[bytes]
    started: float
    killed: str = ""

    @property
    def output(self) -> str:
        return (self.folder / "output.log").read_text(errors="replace")

    @property
    def outcome(self) -> Outcome | None:
        message = self.folder / "termination-log"
        return parse_outcome(message.read_text()) if message.exists() else None

    def finish(self, seconds: float = 120) -> Outcome:
        """Its outcome, once it has ended with the exit code that belongs to it."""
        self.process.wait(seconds)
        assert self.outcome is not None, self.output
        assert self.process.returncode == exit_code(self.outcome.reason), self.output
        return self.outcome

    def wait_for(self, words: str) -> None:
        """Wait until its log has these words."""
        wait_until(lambda: words in self.output or self.process.poll() is not None, words, 120)
        assert words in self.output, self.output

    def steps(self, rank: int) -> list[dict[str, Any]]:
        """What a rank noted, in order. A line that the kill cut off is no step that was done."""
        path = journal(self.folder, rank)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def pid(self, whom: str) -> int | None:
        if whom == "the launcher":
            return self.process.pid
        file = self.folder / f"pid-{whom.removeprefix('rank ')}"
        text = file.read_text() if file.exists() else ""
        return int(text) if text else None


@dataclass
class Job:
    """One job in a folder, attempt after attempt."""

    folder: Path
    config: Path
    checkpoints: Path
    attempts: int = 0

    def start(
        self,
        *,
        ranks: int = RANKS,
        program: str | None = None,
        environment: Mapping[str, str] | None = None,
        master_port: int | None = None,
        **limits: float,
    ) -> Attempt:
        """The next attempt, on one node; `program` instead of the forked ranks, `environment` besides this one's."""
        self.attempts += 1
        placement = {"node_rank": 0, "nodes": 1, "ranks_per_node": ranks, "master_port": master_port or free_port()}
        given = {"placement": placement, "port": free_port(), "limits": limits}
        if program is not None:
            given["program"] = program
        return self._launch(self.folder / f"attempt-{self.attempts}", given, environment or {})

    def start_nodes(self, **limits: float) -> list[Attempt]:
        """The next attempt, on two nodes with a rank each."""
        self.attempts += 1
        port, master_port = free_port(), free_port()
        return [
            self._launch(
                self.folder / f"attempt-{self.attempts}-{node}",
                {
                    "placement": {"node_rank": node, "nodes": 2, "ranks_per_node": 1, "master_port": master_port},
                    "host": host, "port": port, "limits": limits,
                },
                {},
            )
            for node, host in enumerate(HOSTS)
        ]  # fmt: skip

    def _launch(self, folder: Path, given: dict[str, Any], environment: Mapping[str, str]) -> Attempt:
        folder.mkdir()
        given["placement"] |= {"attempt": self.attempts, "master_addr": HOSTS[0]}
        settings = {
            "config": str(self.config), "run_dir": str(folder), "program": RELAY.read_text(),
            "termination_message": str(folder / "termination-log"),
        } | given  # fmt: skip
        (folder / "settings.json").write_text(json.dumps(settings))
        with (folder / "output.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(DRIVER), str(folder / "settings.json")],
                stdout=output, stderr=output, env=os.environ | environment,
            )  # fmt: skip
        return Attempt(folder, process, time.monotonic())

    def committed(self) -> list[int]:
        return sorted(_step(marker.parent) for marker in self.checkpoints.glob("step-*/committed.json"))

    def uncommitted(self) -> list[int]:
        """Steps whose checkpoint was begun and is not, or not yet, complete."""
        return [_step(begun) for begun in self.checkpoints.glob(".step-*.partial-*")]


def _step(folder: Path) -> int:
    return int(folder.name.lstrip(".").removeprefix("step-").partition(".")[0])
