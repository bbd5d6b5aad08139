"""A node's life: started, silent (its kubelet hangs or its network is cut), dead (no power), removed with all it left.

full.py and instance.py call this. Everything after the start works without asking any program of the node.
"""

import shutil
from functools import partial

from dev.cluster import cleanup, container_runtime, kubelet, network, processes
from dev.cluster.cgroups import pod_pids, remove_cgroups
from dev.cluster.image_links import link_images
from dev.cluster.node import Node
from dev.cluster.record import Record

# Long enough for the kubelet to close its files; one that lost its power has no time at all.
_PATIENCE = 10.0
_NO_POWER = 0.0


def start_runtime(node: Node) -> None:
    """What the node needs before its kubelet; a node whose kubelet never ran starts with the first node's images."""
    network.add_address(node.address)
    fresh = not node.layout.pid_file(node.program(kubelet.PROGRAM)).exists()
    first = Node(node.layout)
    if fresh and node != first:
        cleanup.unmount_below(node.home, node.image_root)
        link_images(first, node, first.program(container_runtime.PROGRAM))
    container_runtime.start_containerd(node, fresh)


def start_node(node: Node, record: Record) -> None:
    """Join a further node to a running control plane, or repair it."""
    start_runtime(node)
    kubelet.start_kubelet(node, record)
    kubelet.wait_for_node(node)


def silence_node(node: Node) -> None:
    """The cluster hears nothing of the node any more, but its pods go on working."""
    processes.stop(node.layout, node.program(kubelet.PROGRAM), _NO_POWER)


def kill_node(node: Node, patience: float = _NO_POWER) -> None:
    """As if somebody pulled the plug: nobody is told. The kubelet cannot report its pods' end, and their network goes
    before them, or the kernel, which lives on, would close their connections."""
    processes.stop(node.layout, node.program(kubelet.PROGRAM), patience)
    network.unplug(pod_pids(node))
    processes.stop(node.layout, node.program(container_runtime.PROGRAM), patience)
    cleanup.kill_all(partial(pod_pids, node))
    cleanup.kill_all(partial(cleanup.shim_pids, node))
    cleanup.unmount_below(node.home, node.image_root)


def remove_node(node: Node) -> None:
    """All that is left of a node outside the instance's folder; the first node's images stay for the next start."""
    kill_node(node, _PATIENCE)
    remove_cgroups(node)
    cleanup.remove_stray_files(node)
    if node.number > 1:
        shutil.rmtree(node.image_root, ignore_errors=True)
        shutil.rmtree(node.home, ignore_errors=True)
        network.remove_address(node.address)
