"""Programs found again by pid and start time: ours are stopped, a stranger with the same pid is not touched."""

import json
import os
import signal
from pathlib import Path

import pytest

from dev.cluster import processes
from dev.cluster.errors import ClusterError
from dev.cluster.layout import Layout

STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("PEFT_FSDP_STATE", str(tmp_path))
    return Layout("test")


def recorded_pid(layout: Layout) -> int:
    return int(json.loads(layout.pid_file("sleeper").read_text())["pid"])


def test_starting_twice_starts_once(layout: Layout) -> None:
    processes.start(layout, "sleeper", ["/bin/sleep", "60"])
    first = recorded_pid(layout)
    processes.start(layout, "sleeper", ["/bin/sleep", "60"])
    assert recorded_pid(layout) == first
    processes.stop(layout, "sleeper")


def test_stop_ends_the_process_and_forgets_it(layout: Layout) -> None:
    processes.start(layout, "sleeper", ["/bin/sleep", "60"])
    pid = recorded_pid(layout)
    processes.stop(layout, "sleeper")
    assert processes.start_time(pid) is None
    assert not layout.pid_file("sleeper").exists()


def test_a_killed_process_is_started_again(layout: Layout) -> None:
    processes.start(layout, "sleeper", ["/bin/sleep", "60"])
    first = recorded_pid(layout)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert not processes.is_running(layout, "sleeper")
    processes.start(layout, "sleeper", ["/bin/sleep", "60"])
    assert recorded_pid(layout) != first
    processes.stop(layout, "sleeper")


def test_a_process_deaf_to_sigterm_is_killed(layout: Layout) -> None:
    processes.start(layout, "sleeper", STUBBORN)
    while "deaf" not in layout.log("sleeper").read_text():
        assert processes.is_running(layout, "sleeper")
    processes.stop(layout, "sleeper", patience=0.2)
    assert not processes.is_running(layout, "sleeper")


def test_a_recycled_pid_is_not_ours(layout: Layout) -> None:
    record = layout.pid_file("sleeper")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"pid": os.getpid(), "start": 1}))
    processes.stop(layout, "sleeper")  # would end this test run if it believed the pid alone
    assert not record.exists()


def test_the_error_of_a_dead_program_shows_its_log(layout: Layout) -> None:
    processes.start(layout, "sleeper", ["/bin/sh", "-c", "echo no such flag; exit 1"])
    while processes.is_running(layout, "sleeper"):
        pass
    with pytest.raises(ClusterError, match="no such flag"):
        processes.must_be_running(layout, "sleeper")
