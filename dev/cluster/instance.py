"""Start and stop instances: the Python API for tests and the demo, and what cli.py calls.

with control_plane("my-tests") as cluster:
    cluster.kubectl("apply", "-f", "-", input=manifest)
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import fake_nodes, machine, processes, volumes
from dev.cluster.build import build
from dev.cluster.cleanup import remove_state
from dev.cluster.control_plane import STOP_ORDER, start_control_plane, stop_control_plane
from dev.cluster.errors import ClusterError
from dev.cluster.full import NODE_PROGRAMS, start_full, stop_full
from dev.cluster.kubectl import run_kubectl
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.lock import locked
from dev.cluster.network import NODE_ADDRESS, check_no_other_cluster
from dev.cluster.node import Node, nodes_of
from dev.cluster.packages import install_packages
from dev.cluster.preflight import check_full, check_programs
from dev.cluster.progress import wait_until
from dev.cluster.record import LOOPBACK, Record, new_record, read_record, write_record
from dev.cluster.versions import FULL_CLUSTER

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

    def wait_until_served(self, crd: str) -> None:
        """Until the API server takes objects of this definition. `kubectl wait`, and a condition in a jsonpath, fail on
        one that is so new that it has no conditions yet."""

        def served() -> bool:
            status = json.loads(self.kubectl("get", f"crd/{crd}", "-o=json")).get("status") or {}
            conditions = status.get("conditions") or []
            return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

        wait_until(served, f"{crd} is served", 60)

    def volume(self, name: str, namespace: str = "default", size: str = "5Gi", mode: str = "RWX") -> Path:
        """A claim with a volume; the folder returned is what pods see under the claim."""
        return volumes.make_volume(Layout(self.name), name, namespace, size, mode)


@contextmanager
def control_plane(name: str = CONTROL_PLANE, audit: bool = True, audit_bodies: bool = False) -> Iterator[Cluster]:
    """A control plane without nodes for the length of the block; one that ran before keeps running after it."""
    layout = Layout(name)
    was_running = runs_partly(layout)
    cluster = up_control_plane(name, audit, audit_bodies)
    try:
        yield cluster
    finally:
        if not was_running:
            down(name)


def up_control_plane(name: str = CONTROL_PLANE, audit: bool = True, audit_bodies: bool = False) -> Cluster:
    """Start the control plane, or repair it: what runs is left alone, what died is started again with its data."""
    layout = Layout(name)
    check_programs()
    build(("kubernetes", "etcd"))
    with locked(layout):
        record = read_record(layout) or new_record(False, LOOPBACK, audit, audit_bodies)
        if record.full:
            raise ClusterError(f"{name} is a full cluster: choose another --name for a control plane alone")
        write_record(layout, record)
        start_control_plane(layout, record)
    return _cluster(layout)


@contextmanager
def full_cluster(name: str = FULL, gpus: int = 0, nodes: int = 1) -> Iterator[Cluster]:
    """A cluster with real nodes for the length of the block; one that ran before keeps running after it."""
    was_running = runs_partly(Layout(name))
    cluster = up_full(name, gpus, nodes)
    try:
        yield cluster
    finally:
        if not was_running:
            down(name)


def up_full(name: str = FULL, gpus: int = 0, nodes: int = 1) -> Cluster:
    """Start the full cluster, or repair it. `gpus` is what each node claims to have; 0 leaves it as it is."""
    layout = Layout(name)
    check_full()
    install_packages()
    build(FULL_CLUSTER)
    with locked(layout):
        record = read_record(layout)
        if record is None:
            check_no_other_cluster()
            record = new_record(full=True, address=NODE_ADDRESS, audit=True)
        if not record.full:
            raise ClusterError(f"{name} is a control plane alone: choose another --name for a full cluster")
        write_record(layout, record)
        start_full(layout, record, gpus, nodes)
    return _cluster(layout)


def down(name: str) -> None:
    """Stop an instance and remove all it left, whatever state it is in. Nothing to do is fine."""
    layout = Layout(name)
    with locked(layout):
        fake_nodes.stop_fake_nodes(layout)
        record = read_record(layout)
        if record is not None and record.full:
            stop_full(layout)
        else:
            stop_control_plane(layout)
        remove_state(layout)


def add_fake_nodes(name: str, count: int, gpus: int = 0) -> None:
    """Join `count` KWOK nodes with `gpus` nvidia.com/gpu each to a running instance."""
    build(("kwok",))
    layout = Layout(name)
    with locked(layout):
        fake_nodes.start_fake_nodes(layout, _running(layout), count, gpus)


def start_node(name: str, node: str) -> None:
    """Join a further real node to a running full cluster, or bring one back that is silent or dead."""
    layout = Layout(name)
    with locked(layout):
        machine.start_node(_node(layout, node), _running(layout))


def stop_node(name: str, node: str, only_kubelet: bool = False) -> None:
    """A lost node: dead with all its pods, or, with `only_kubelet`, silent while its pods go on working."""
    layout = Layout(name)
    with locked(layout):
        stop = machine.silence_node if only_kubelet else machine.kill_node
        stop(_node(layout, node))


def remove_node(name: str, node: str) -> None:
    """Take a further node away with all it left, its Node object too."""
    layout = Layout(name)
    with locked(layout):
        machine.remove_node(_node(layout, node))
        run_kubectl(layout.kubeconfig, "delete", "node", node, "--ignore-not-found")


def running_cluster(name: str) -> Cluster:
    """An instance that was started before."""
    layout = Layout(name)
    _running(layout)
    return _cluster(layout)


def is_up(layout: Layout) -> bool:
    """Whether every program of the instance runs."""
    record = read_record(layout)
    return record is not None and all(processes.is_running(layout, program) for program in _programs(record))


def runs_partly(layout: Layout) -> bool:
    """Whether any program of the instance runs: somebody started it, and starting it again would only repair it."""
    record = read_record(layout)
    return record is not None and any(processes.is_running(layout, program) for program in _programs(record))


def _programs(record: Record) -> tuple[str, ...]:
    return STOP_ORDER + (NODE_PROGRAMS if record.full else ())


def _running(layout: Layout) -> Record:
    record = read_record(layout)
    if record is None or not is_up(layout):
        raise ClusterError(f"{layout.name} does not run: start it with `python -m dev.cluster up --name {layout.name}`")
    return record


def _node(layout: Layout, name: str) -> Node:
    """A node that may go away: on the first one everything else leans."""
    further = {node.name: node for node in nodes_of(layout)[1:]}
    if name not in further:
        raise ClusterError(f"{name!r}: the node that can be started and stopped is {', '.join(further)}")
    return further[name]


def _cluster(layout: Layout) -> Cluster:
    return Cluster(layout.name, layout.kubeconfig, bin_dir(), layout.audit_log)
