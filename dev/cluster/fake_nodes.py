"""KWOK: nodes without machines, on which pods become Running at once. For scale: eight of them hold hundreds of pods.

Nobody listens at the pods' address, so nothing can read their progress.
"""

import json
import socket
from pathlib import Path

from dev.cluster import processes
from dev.cluster.kubectl import run_kubectl
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.progress import wait_until
from dev.cluster.record import LOOPBACK, Record

_MARK = {"kwok.x-k8s.io/node": "fake"}
_PROGRAM = "kwok"
_STAGES = Path(__file__).parent / "fake-stages.yaml"
Manifest = dict[str, object]


def start_fake_nodes(layout: Layout, record: Record, count: int, gpus: int) -> None:
    """Start the kwok controller and `count` nodes; more or fewer than last time is fine, existing ones stay."""
    processes.start(layout, _PROGRAM, _command(layout, record))
    nodes = [fake_node(index, gpus, tainted=record.full) for index in range(count)]
    items = {"apiVersion": "v1", "kind": "List", "items": nodes}
    run_kubectl(layout.kubeconfig, "apply", "--server-side", "-f", "-", input=json.dumps(items))
    wait_until(lambda: _ready_nodes(layout) >= count, f"{count} fake nodes are ready", 60, layout.log(_PROGRAM))


def stop_fake_nodes(layout: Layout) -> None:
    processes.stop(layout, _PROGRAM)


def fake_node(index: int, gpus: int, tainted: bool) -> Manifest:
    """Beside a real node the fake ones carry a taint, or real pods would end up where nothing runs."""
    name = f"fake-{index}"
    size = {"cpu": "128", "memory": "2Ti", "pods": "250", "ephemeral-storage": "4Ti"}
    if gpus:
        size["nvidia.com/gpu"] = str(gpus)
    taint = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": _MARK, "labels": {"kubernetes.io/hostname": name, "type": "kwok"}},
        "spec": {"taints": [taint]} if tainted else {},
        "status": {"capacity": size, "allocatable": size},
    }


def _ready_nodes(layout: Layout) -> int:
    processes.must_be_running(layout, _PROGRAM)
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    return (
        run_kubectl(layout.kubeconfig, "get", "nodes", "-l", "type=kwok", f"-o=jsonpath={path}").split().count("True")
    )


def _command(layout: Layout, record: Record) -> list[str]:
    (mark, value), *_ = _MARK.items()
    return [
        str(bin_dir() / "kwok"),
        f"--kubeconfig={layout.kubeconfig}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={mark}={value}",
        f"--server-address={LOOPBACK}:{record.ports['kwok']}",
        f"--config={_STAGES}",
        f"--node-ip={record.address if record.full else _machine_address()}",
        "--node-lease-duration-seconds=40",
    ]


def _machine_address() -> str:
    """An address that endpoints may hold, which excludes loopback; choosing a route for UDP sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])
