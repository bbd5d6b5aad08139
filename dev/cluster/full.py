"""The full cluster: a control plane, one real node with everything pods need, and a registry."""

from dev.cluster import cleanup, container_runtime, processes, registry
from dev.cluster.control_plane import start_control_plane, stop_control_plane
from dev.cluster.dns import start_dns, wait_for_dns
from dev.cluster.kernel import remember_settings, restore_settings
from dev.cluster.layout import Layout
from dev.cluster.network import remove_network, start_network
from dev.cluster.node import offer_gpus, start_kube_proxy, start_kubelet, wait_for_node
from dev.cluster.record import Record
from dev.cluster.volumes import offer_pool

NODE_PROGRAMS = ("kubelet", "kube-proxy", "coredns")
COMPONENTS = ("kubernetes", "etcd", "pause", "coredns", "helm")


def start_full(layout: Layout, record: Record, gpus: int) -> None:
    """Start what does not run, in the order in which the parts need each other."""
    remember_settings(layout)
    start_network(layout)
    registry.start_registry(layout)
    container_runtime.start_containerd(layout, fresh=not layout.pid_file("kubelet").exists())
    start_control_plane(layout, record)
    start_kubelet(layout, record)
    start_kube_proxy(layout, record)
    start_dns(layout, record)
    offer_pool(layout)
    wait_for_node(layout)
    wait_for_dns(layout, record)
    if gpus:
        offer_gpus(layout, gpus)


def stop_full(layout: Layout) -> None:
    """Works on any remains: nothing here needs a part that may be dead."""
    for program in NODE_PROGRAMS:
        processes.stop(layout, program)
    cleanup.kill_pods(layout)
    for program in (container_runtime.PROGRAM, registry.PROGRAM):
        processes.stop(layout, program)
    stop_control_plane(layout)
    cleanup.unmount_all(layout)
    cleanup.remove_cgroups()
    remove_network()
    restore_settings(layout)
    cleanup.remove_stray_files(layout)
