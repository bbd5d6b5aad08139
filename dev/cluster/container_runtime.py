"""A node's containerd, with its own root, state and socket: one that the machine already runs is not touched.

The root (images, unpacked layers) outlives a start; containers in it do not.
"""

from dev.cluster import processes
from dev.cluster.command import run, succeeds
from dev.cluster.network import PLUGINS, cni_folder
from dev.cluster.node import Node
from dev.cluster.pause_image import PAUSE_IMAGE, pause_archive
from dev.cluster.progress import wait_until

PROGRAM = "containerd"
_NAMESPACE = "k8s.io"
_PATIENCE = 10.0


def start_containerd(node: Node, fresh: bool) -> None:
    """`fresh` when no kubelet of this node ran yet: containers in the root belong to a life before."""
    program = node.program(PROGRAM)
    node.image_root.mkdir(parents=True, exist_ok=True)
    command = ["/usr/bin/containerd", f"--config={node.layout.configure(f'{program}.toml', _configuration(node))}"]
    _start(node, command)
    if fresh and _remove_containers(node):
        # What it read at its start it keeps in memory, and the kubelet would have it take down the network of those
        # pods: of pods that live, where the lists are a copy of another node's.
        processes.stop(node.layout, program, _PATIENCE)
        _start(node, command)
    if PAUSE_IMAGE not in ctr(node, "images", "list", "-q").split():
        ctr(node, "images", "import", str(pause_archive()))


def _start(node: Node, command: list[str]) -> None:
    program = node.program(PROGRAM)
    processes.start(node.layout, program, command)
    wait_until(lambda: _answers(node), f"containerd of {node.name} answers", 60, node.layout.log(program))


def ctr(node: Node, *arguments: str) -> str:
    return run("ctr", f"--address={node.socket}", f"--namespace={_NAMESPACE}", *arguments)


def _answers(node: Node) -> bool:
    processes.must_be_running(node.layout, node.program(PROGRAM))
    return succeeds("ctr", f"--address={node.socket}", "version")


def _remove_containers(node: Node) -> bool:
    """Whether there were any."""
    leftover = ctr(node, "containers", "list", "-q").split()
    if leftover:
        ctr(node, "containers", "delete", *leftover)
    return bool(leftover)


def _configuration(node: Node) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    unused = ("aufs", "btrfs", "devmapper", "zfs")
    return f"""\
version = 2
root = "{node.image_root}"
state = "{node.socket.parent}"
disabled_plugins = [{", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in unused)}]

[grpc]
  address = "{node.socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{node.home / "opt"}"

[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without this every sandbox fails ("can't get final child's PID from pipe: EOF") on a machine that does not let
  # a process lower its oom_score_adj.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true

[{cri}.containerd]
  # The trainer's layers are 3.4 GB compressed: kept once, in the registry.
  discard_unpacked_layers = true

[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "{node.home / "runc"}"

[{cri}.cni]
  bin_dir = "{PLUGINS}"
  conf_dir = "{cni_folder(node.layout)}"
"""
