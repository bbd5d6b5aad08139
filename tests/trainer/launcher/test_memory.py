"""Out of memory: the kernel's kill is told from any other by the counter of the container's cgroup."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_trainer.launcher.cgroup import cpus, oom_kills

from .conftest import Launcher

V1 = Path("/sys/fs/cgroup/memory")
LIMIT = 400 * 1024 * 1024


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A memory cgroup of the running kernel with room for a launcher, but not for a gigabyte."""
    version_1 = (V1 / "memory.limit_in_bytes").exists()
    group = (V1 if version_1 else V1.parent) / f"peft-fsdp-test-{os.getpid()}"
    try:
        group.mkdir()
        limits = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if version_1 else ("memory.max",)
        for name in limits:
            (group / name).write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"a memory cgroup needs root: {error}")
    yield group
    group.rmdir()


def test_a_rank_killed_for_memory(start: Callable[..., Launcher], small_cgroup: Path) -> None:
    enter = ["sh", "-c", f'echo $$ > {small_cgroup}/cgroup.procs && exec "$@"', "enter"]
    launcher = start("if rank == 0: time.sleep(60)\nhoard = b'x' * 2**30", under=enter, peers=0.2)
    outcome = launcher.finish()
    assert (outcome.reason, outcome.rank) == (Reason.OUT_OF_MEMORY, 1)
    assert "memory limit" in outcome.hint


@pytest.mark.parametrize(
    ("membership", "file", "text"),
    [
        ("0::/kubepods/pod1/c1", "kubepods/pod1/c1/memory.events", "low 0\noom 3\noom_kill 2\n"),
        ("0::/", "memory.events", "oom_kill 2\n"),
        ("4:memory:/docker/c1\n0::/", "memory/docker/c1/memory.oom_control", "under_oom 0\noom_kill 2\n"),
        ("4:memory:/docker/c1\n", "memory/memory.oom_control", "oom_kill_disable 0\noom_kill 2\n"),
    ],
    ids=["v2", "v2-namespace", "v1", "v1-container"],
)
def test_where_the_counter_is(tmp_path: Path, membership: str, file: str, text: str) -> None:
    (tmp_path / "membership").write_text(membership)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert oom_kills(tmp_path, tmp_path / "membership") == 2


def test_no_counter(tmp_path: Path) -> None:
    assert oom_kills(tmp_path, tmp_path / "membership") is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, len(os.sched_getaffinity(0))),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, len(os.sched_getaffinity(0))),
    ],
    ids=["v2-quota", "v2-none", "v1-quota", "v1-none"],
)
def test_cpus_of_a_container(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    (tmp_path / "membership").write_text("2:cpu,cpuacct:/\n0::/\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpus(tmp_path, tmp_path / "membership") == expected
