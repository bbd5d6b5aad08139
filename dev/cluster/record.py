"""What an instance was started as. Written once at its first `up`, read by everything that comes later."""

import json
from dataclasses import asdict, dataclass

from dev.cluster.layout import Layout
from dev.cluster.ports import choose_ports

PORTS = (
    "etcd", "etcd-peer", "apiserver", "controller-manager", "scheduler",
    "kubelet", "kubelet-healthz", "kube-proxy-healthz", "kube-proxy-metrics", "coredns-health", "kwok",
)  # fmt: skip
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Record:
    """`address` is where the API server listens: loopback alone, or the bridge that pods can reach. With
    `audit_bodies` the audit log also holds what was written to jobs and their children, and what was answered."""

    full: bool
    address: str
    ports: dict[str, int]
    audit: bool = True
    audit_bodies: bool = False

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.ports['apiserver']}"


def new_record(full: bool, address: str, audit: bool, audit_bodies: bool = False) -> Record:
    return Record(full=full, address=address, ports=choose_ports(PORTS), audit=audit, audit_bodies=audit_bodies)


def read_record(layout: Layout) -> Record | None:
    """None if there is no such instance."""
    if not layout.record.exists():
        return None
    return Record(**json.loads(layout.record.read_text()))


def write_record(layout: Layout, record: Record) -> None:
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.root.chmod(0o755)
    layout.record.write_text(json.dumps(asdict(record), indent=1))
