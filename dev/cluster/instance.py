"""Start and stop instances: the Python API for tests and the demo, and what cli.py calls.

with control_plane("my-tests") as cluster:
    cluster.kubectl("apply", "-f", "-", input=manifest)
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import fake_nodes, processes
from dev.cluster.build import build
from dev.cluster.control_plane import STOP_ORDER, start_control_plane, stop_control_plane
from dev.cluster.errors import ClusterError
from dev.cluster.kubectl import run_kubectl
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.preflight import check_programs
from dev.cluster.record import LOOPBACK, new_record, read_record, write_record

FULL = "main"
CONTROL_PLANE = "control-plane"


@dataclass(frozen=True)
class Cluster:
    """A running instance, for its users."""

    name: str
    kubeconfig: Path
    bin_dir: Path
    audit_log: Path

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return run_kubectl(self.kubeconfig, *arguments, input=input)


@contextmanager
def control_plane(name: str = CONTROL_PLANE, audit: bool = True) -> Iterator[Cluster]:
    """A control plane without nodes for the length of the block; one that ran before keeps running after it."""
    layout = Layout(name)
    was_running = is_up(layout)
    cluster = up_control_plane(name, audit)
    try:
        yield cluster
    finally:
        if not was_running:
            down(name)


def up_control_plane(name: str = CONTROL_PLANE, audit: bool = True) -> Cluster:
    """Start the control plane, or repair it: what runs is left alone, what died is started again with its data."""
    layout = Layout(name)
    check_programs()
    build(("kubernetes", "etcd"))
    with locked(layout):
        record = read_record(layout) or new_record(full=False, address=LOOPBACK, audit=audit)
        if record.full:
            raise ClusterError(f"{name} is a full cluster: choose another --name for a control plane alone")
        write_record(layout, record)
        start_control_plane(layout, record)
    return _cluster(layout)


def down(name: str) -> None:
    """Stop an instance and remove all it left, whatever state it is in. Nothing to do is fine."""
    layout = Layout(name)
    with locked(layout):
        fake_nodes.stop_fake_nodes(layout)
        stop_control_plane(layout)
        if layout.root.exists():
            shutil.rmtree(layout.root)
    layout.lock.unlink(missing_ok=True)


def add_fake_nodes(name: str, count: int, gpus: int = 0) -> None:
    """Join `count` KWOK nodes with `gpus` nvidia.com/gpu each to a running instance."""
    layout = Layout(name)
    build(("kwok",))
    with locked(layout):
        record = read_record(layout)
        if record is None:
            raise ClusterError(f"{name} does not run: start it with `python -m dev.cluster up --name {name}`")
        fake_nodes.start_fake_nodes(layout, record, count, gpus)


def is_up(layout: Layout) -> bool:
    return read_record(layout) is not None and all(processes.is_running(layout, program) for program in STOP_ORDER)


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """One `up` or `down` of an instance at a time; the second waits and then finds the work done."""
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _cluster(layout: Layout) -> Cluster:
    return Cluster(layout.name, layout.kubeconfig, bin_dir(), layout.audit_log)
