"""The full cluster: a control plane, one real node with everything pods need, more if asked for, and a registry."""

from dev.cluster import cleanup, machine, processes, registry
from dev.cluster.control_plane import start_control_plane, stop_control_plane
from dev.cluster.dns import start_dns, wait_for_dns
from dev.cluster.kernel import remember_settings, restore_settings
from dev.cluster.kube_proxy import start_kube_proxy
from dev.cluster.kubelet import offer_gpus, start_kubelet, wait_for_node
from dev.cluster.layout import Layout
from dev.cluster.network import remove_network, start_network
from dev.cluster.node import nodes_of
from dev.cluster.record import Record
from dev.cluster.volumes import offer_pool

# What must run for the instance to count as up. Further nodes may be dead on purpose.
NODE_PROGRAMS = ("kubelet-1", "kube-proxy", "coredns")


def start_full(layout: Layout, record: Record, gpus: int, nodes: int) -> None:
    """Start what does not run, in the order in which the parts need each other."""
    first, *others = nodes_of(layout)[:nodes]
    remember_settings(layout)
    start_network(layout)
    registry.start_registry(layout)
    machine.start_runtime(first)
    start_control_plane(layout, record)
    start_kubelet(first, record)
    start_kube_proxy(layout, record)
    start_dns(layout, record)
    offer_pool(layout)
    wait_for_node(first)
    wait_for_dns(layout, record)
    for node in others:
        machine.start_node(node, record)
    for node in nodes_of(layout)[:nodes] if gpus else ():
        offer_gpus(node, gpus)


def stop_full(layout: Layout) -> None:
    """Works on any remains: nothing here needs a part that may be dead."""
    for program in ("kube-proxy", "coredns"):
        processes.stop(layout, program)
    for node in nodes_of(layout):
        machine.remove_node(node)
    processes.stop(layout, registry.PROGRAM)
    stop_control_plane(layout)
    cleanup.unmount_below(layout.root)
    remove_network()
    restore_settings(layout)
    cleanup.remove_shared_folders()
