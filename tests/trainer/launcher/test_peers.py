"""Two launchers as two nodes on loopback: when one goes, the other ends within seconds, whatever its ranks wait for."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peft_fsdp_api.reasons import Reason
from tests.ports import free_port

from .conftest import DRIVER, REPORTER, Launcher, write_settings

# Deaf to the network: no lost connection tells these ranks anything.
DEAF = """
Path(run_dir, f"pid-{rank}").write_text(str(os.getpid()))
import ctypes; ctypes.CDLL(None).prctl(1, signal.SIGKILL)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while not Path(run_dir, "go").exists(): time.sleep(0.05)
"""
NODES = ("127.0.0.1", "127.0.0.2")

StartNodes = Callable[..., list[Launcher]]


@pytest.fixture
def start_nodes(tmp_path: Path) -> Iterator[StartNodes]:
    """start_nodes(program, **limits): the launchers of two nodes with one rank each, both connected."""
    started: list[Launcher] = []

    def start(program: str, **limits: float) -> list[Launcher]:
        port, master_port = free_port(), free_port()
        for node, host in enumerate(NODES):
            folder = tmp_path / f"node-{node}"
            folder.mkdir()
            placement: dict[str, object] = {"nodes": 2, "node_rank": node, "ranks_per_node": 1,
                                            "master_port": master_port}  # fmt: skip
            given = write_settings(folder, _listening(program, master_port), placement, limits)
            given |= {"host": host, "port": port}
            (folder / "settings.json").write_text(json.dumps(given))
            with (folder / "log").open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, str(DRIVER), str(folder / "settings.json")], stdout=log, stderr=log, text=True
                )
            started.append(Launcher(process, folder / "run", port, Path(given["termination_message"])))
        for node, launcher in enumerate(started):
            launcher.rank_pid(node)
        time.sleep(1)  # the connection between the launchers follows the start of the ranks at once
        return started

    yield start
    for launcher in started:
        launcher.process.kill()
        launcher.process.wait()


def _listening(program: str, port: int) -> str:
    """Rank 0 opens the port that the other launcher waits for."""
    listen = f"import socket\nif rank == 0:\n  server = socket.create_server(('127.0.0.1', {port}))\n"
    return listen + program


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_node_is_a_lost_peer_long_before_a_time_out(start_nodes: StartNodes, victim: int) -> None:
    nodes = start_nodes(DEAF, reconnect=1, peers=1)
    nodes[victim].process.kill()
    outcome = nodes[1 - victim].finish(30)
    assert (outcome.reason, outcome.rank) == (Reason.LOST_PEER, None)
    assert f"worker {victim} is gone" in outcome.message


def test_a_node_that_ended_with_a_failure_ends_the_other(start_nodes: StartNodes) -> None:
    nodes = start_nodes(f"{DEAF}\nif rank == 1: sys.exit(72)\ntime.sleep(600)", peers=1)
    (nodes[1].run_dir / "go").touch()
    assert nodes[1].finish().reason is Reason.DISK_FULL
    outcome = nodes[0].finish(30)
    assert (outcome.reason, outcome.message) == (Reason.LOST_PEER, "worker 1 ended with DiskFull")


def test_a_finished_worker_0_is_no_lost_peer(start_nodes: StartNodes) -> None:
    nodes = start_nodes(DEAF, reconnect=0.2, silence=3)
    (nodes[0].run_dir / "go").touch()
    assert nodes[0].finish().reason is Reason.SUCCEEDED
    time.sleep(2)
    (nodes[1].run_dir / "go").touch()
    assert nodes[1].finish().reason is Reason.SUCCEEDED


def test_a_launcher_that_is_silent_for_a_while_is_no_lost_peer(start_nodes: StartNodes) -> None:
    nodes = start_nodes(DEAF, reconnect=1, silence=10)
    nodes[0].process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    nodes[0].process.send_signal(signal.SIGCONT)
    for node in nodes:
        (node.run_dir / "go").touch()
    assert [node.finish().reason for node in nodes] == [Reason.SUCCEEDED] * 2


def test_a_launcher_that_stays_silent_is_a_lost_peer(start_nodes: StartNodes) -> None:
    nodes = start_nodes(DEAF, reconnect=1, silence=2, peers=1)
    nodes[0].process.send_signal(signal.SIGSTOP)
    assert nodes[1].finish(30).reason is Reason.LOST_PEER


def test_a_node_that_is_asked_to_stop_stops_the_other(start_nodes: StartNodes) -> None:
    polite = "Path(run_dir, f'pid-{rank}').write_text(str(os.getpid()))\ntime.sleep(600)"
    nodes = start_nodes(f"{REPORTER}reporter.stage(Stage.TOKENIZE)\n{polite}", peers=5)
    nodes[1].process.send_signal(signal.SIGTERM)
    assert [node.finish(30).reason for node in nodes] == [Reason.PREEMPTED] * 2
