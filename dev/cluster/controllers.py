"""kube-controller-manager and kube-scheduler, one of each, without leader election and without a client-side brake."""

from pathlib import Path

from dev.cluster import processes
from dev.cluster.health import answers
from dev.cluster.kubeconfig import write_kubeconfig
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.progress import wait_until
from dev.cluster.record import LOOPBACK, Record

NODE_PATIENCE = "16s"


def start_controllers(layout: Layout, record: Record) -> None:
    processes.start(layout, "kube-controller-manager", _controller_manager(layout, record))
    processes.start(layout, "kube-scheduler", _scheduler(layout, record))


def wait_for_controllers(layout: Layout, record: Record) -> None:
    for name in ("controller-manager", "scheduler"):
        program = f"kube-{name}"
        url = f"https://{LOOPBACK}:{record.ports[name]}/healthz"

        def is_healthy(program: str = program, url: str = url) -> bool:
            processes.must_be_running(layout, program)
            return answers(url)

        wait_until(is_healthy, f"{program} is healthy", 60, layout.log(program))


def _controller_manager(layout: Layout, record: Record) -> list[str]:
    pki = layout.certificates
    # With real nodes: how long one may be silent before it counts as unreachable (50 s where nobody waits for it).
    patience = [f"--node-monitor-grace-period={NODE_PATIENCE}", "--node-monitor-period=1s"] if record.full else []
    return [
        str(bin_dir() / "kube-controller-manager"),
        *_shared_flags(layout, record, "controller-manager"),
        *patience,
        "--use-service-account-credentials",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
    ]


def _scheduler(layout: Layout, record: Record) -> list[str]:
    return [str(bin_dir() / "kube-scheduler"), *_shared_flags(layout, record, "scheduler")]


def _shared_flags(layout: Layout, record: Record, name: str) -> list[str]:
    kubeconfig: Path = write_kubeconfig(
        layout.configuration / f"{name}.kubeconfig", record.server, layout.certificates, name
    )
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={record.ports[name]}",
        "--leader-elect=false",
        "--kube-api-qps=1000",
        "--kube-api-burst=1000",
    ]
