"""containerd with its own root, state and socket, so that a containerd the machine already runs is not touched.

The root (images, unpacked layers) is cache and outlives `down`; containers in it do not.
"""

from pathlib import Path

from dev.cluster import processes
from dev.cluster.command import run, succeeds
from dev.cluster.layout import Layout, cache_dir
from dev.cluster.network import PLUGINS
from dev.cluster.pause_image import PAUSE_IMAGE, pause_archive
from dev.cluster.progress import wait_until

PROGRAM = "containerd"
_NAMESPACE = "k8s.io"


def image_root() -> Path:
    return cache_dir() / "containerd"


def socket(layout: Layout) -> Path:
    return layout.root / "containerd" / "containerd.sock"


def start_containerd(layout: Layout, fresh: bool) -> None:
    """`fresh` when no kubelet of this instance ran yet: containers in the cached root belong to a life before."""
    image_root().mkdir(parents=True, exist_ok=True)
    configuration = layout.configure("containerd.toml", _configuration(layout))
    processes.start(layout, PROGRAM, ["/usr/bin/containerd", f"--config={configuration}"])
    wait_until(lambda: _answers(layout), "containerd answers", 60, layout.log(PROGRAM))
    if fresh:
        _remove_containers(layout)
    if PAUSE_IMAGE not in ctr(layout, "images", "list", "-q").split():
        ctr(layout, "images", "import", str(pause_archive()))


def ctr(layout: Layout, *arguments: str) -> str:
    return run("ctr", f"--address={socket(layout)}", f"--namespace={_NAMESPACE}", *arguments)


def _answers(layout: Layout) -> bool:
    processes.must_be_running(layout, PROGRAM)
    return succeeds("ctr", f"--address={socket(layout)}", "version")


def _remove_containers(layout: Layout) -> None:
    leftover = ctr(layout, "containers", "list", "-q").split()
    if leftover:
        ctr(layout, "containers", "delete", *leftover)


def _configuration(layout: Layout) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    unused = ("aufs", "btrfs", "devmapper", "zfs")
    return f"""\
version = 2
root = "{image_root()}"
state = "{socket(layout).parent}"
disabled_plugins = [{", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in unused)}]

[grpc]
  address = "{socket(layout)}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.root / "opt"}"

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
  Root = "{layout.root / "runc"}"

[{cri}.cni]
  bin_dir = "{PLUGINS}"
  conf_dir = "{layout.configuration / "cni"}"
"""
