"""etcd, API server, controller manager and scheduler of an instance, started in this order, stopped in the reverse."""

from dev.cluster import processes
from dev.cluster.apiserver import serving_names, start_apiserver, wait_for_apiserver
from dev.cluster.certificates import CLIENTS, make_authority, make_client, make_server
from dev.cluster.controllers import start_controllers, wait_for_controllers
from dev.cluster.errors import ClusterError
from dev.cluster.etcd import start_etcd
from dev.cluster.kubeconfig import write_kubeconfig
from dev.cluster.kubectl import exists
from dev.cluster.layout import Layout
from dev.cluster.progress import wait_until
from dev.cluster.record import Record

# An API server whose etcd is gone hangs on SIGTERM and keeps its port, so etcd goes last.
STOP_ORDER = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")


def start_control_plane(layout: Layout, record: Record) -> None:
    """Start what does not run. Returns when pods can be created in the `default` namespace."""
    start_etcd(layout, record)
    _make_certificates(layout, record)
    write_kubeconfig(layout.kubeconfig, record.server, layout.certificates, "admin")
    start_apiserver(layout, record)
    wait_for_apiserver(layout, record)
    start_controllers(layout, record)
    wait_for_controllers(layout, record)
    # ServiceAccount admission refuses pods until the controller manager has made this one.
    wait_until(
        lambda: _has_service_account(layout),
        "the default service account exists",
        60,
        layout.log("kube-controller-manager"),
    )


def _has_service_account(layout: Layout) -> bool:
    """An API server whose etcd has just come breaks off a request now and then."""
    try:
        return exists(layout.kubeconfig, "serviceaccount/default")
    except ClusterError:
        return False


def stop_control_plane(layout: Layout) -> None:
    for program in STOP_ORDER:
        processes.stop(layout, program)


def _make_certificates(layout: Layout, record: Record) -> None:
    make_authority(layout.certificates)
    for name, subject in CLIENTS.items():
        make_client(layout.certificates, name, subject)
    make_server(layout.certificates, "apiserver", serving_names(record))
