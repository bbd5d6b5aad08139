"""Waiting for worker 0: its name, then its port, then giving up with the right words."""

import signal
import socket
import time
from collections.abc import Callable

from peft_fsdp_api.reasons import Reason
from tests.ports import free_port

from .conftest import Launcher, wait_until

Start = Callable[..., Launcher]

UNKNOWN = "worker-0.peft-fsdp.invalid"  # RFC 6761: never resolves


def test_a_name_that_never_resolves(start: Start) -> None:
    launcher = start("", placement={"nodes": 2, "node_rank": 1, "master_addr": UNKNOWN}, rendezvous=1)
    outcome = launcher.finish()
    assert outcome.reason is Reason.RENDEZVOUS_FAILED
    assert UNKNOWN in outcome.message
    assert "DNS" in outcome.message


def test_a_port_on_which_nobody_listens(start: Start) -> None:
    port = free_port()
    launcher = start("", placement={"nodes": 2, "node_rank": 1, "master_port": port}, rendezvous=1)
    outcome = launcher.finish()
    assert outcome.reason is Reason.RENDEZVOUS_FAILED
    assert f"TCP port {port}" in outcome.message


def test_a_port_that_opens_late(start: Start) -> None:
    port = free_port()
    placement = {"nodes": 2, "node_rank": 1, "ranks_per_node": 2, "master_port": port}
    launcher = start("Path(run_dir, f'ran-{rank}').touch()", placement=placement, rendezvous=30)
    wait_until(lambda: _answers(launcher), "the launcher's first answer")
    assert not (launcher.run_dir / "ran-2").exists()
    with socket.create_server(("127.0.0.1", port)):
        assert launcher.finish().reason is Reason.SUCCEEDED
    assert sorted(path.name for path in launcher.run_dir.glob("ran-*")) == ["ran-2", "ran-3"]


def test_worker_0_does_not_wait_for_its_own_port(start: Start) -> None:
    placement = {"nodes": 2, "node_rank": 0, "master_port": free_port()}
    assert start("", placement=placement, rendezvous=1).finish().reason is Reason.SUCCEEDED


def test_sigterm_ends_the_wait(start: Start) -> None:
    placement = {"nodes": 2, "node_rank": 1, "master_addr": UNKNOWN}
    launcher = start("", placement=placement, rendezvous=600)
    wait_until(lambda: _answers(launcher), "the launcher's first answer")
    launcher.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    outcome = launcher.finish(30)
    assert outcome.reason is Reason.PREEMPTED
    assert "nothing was trained" in outcome.message
    assert time.monotonic() - started < 30


def _answers(launcher: Launcher) -> bool:
    try:
        return launcher.get("/healthz") == "ok\n"
    except OSError:
        return False
