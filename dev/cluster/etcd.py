"""etcd on loopback, without fsync: its data is a test's data, and a test machine's disk is slow."""

from dev.cluster import processes
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.record import LOOPBACK, Record


def start_etcd(layout: Layout, record: Record) -> None:
    client = f"http://{LOOPBACK}:{record.ports['etcd']}"
    peer = f"http://{LOOPBACK}:{record.ports['etcd-peer']}"
    command = [
        str(bin_dir() / "etcd"),
        "--name=etcd",
        f"--data-dir={layout.root / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=etcd={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    processes.start(layout, "etcd", command)
