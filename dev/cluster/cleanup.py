"""What a dead node leaves on a machine, removed without asking any of its programs, which may be dead too.

`down` calls this; every step finds by itself what there is to do, so it also works after a crash or twice.
"""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from dev.cluster.command import run
from dev.cluster.layout import Layout
from dev.cluster.node import Node
from dev.cluster.progress import wait_until

_SHIM_SOCKETS = Path("/run/containerd/s")
_CNI_RESULTS = Path("/var/lib/cni/results")
# Not below --root-dir: the address of the device plugin service is a constant.
_KUBELET_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_CONTAINER_LOGS = Path("/var/log/containers")


def unmount_below(*folders: Path) -> None:
    """Deepest first: secrets and tokens, overlays, network namespaces, shared memory."""
    below = tuple(f"{folder}/" for folder in folders)
    for point in sorted(mount_points(Path("/proc/self/mounts").read_text(), below), key=len, reverse=True):
        run("umount", "-l", point)


def mount_points(mounts: str, below: tuple[str, ...]) -> list[str]:
    """Mount points of /proc/self/mounts under any of the folders `below`; the kernel writes odd characters in octal."""
    points = (line.split()[1].encode().decode("unicode_escape") for line in mounts.splitlines())
    return [point for point in points if point.startswith(below)]


def remove_stray_files(node: Node) -> None:
    """What containerd, CNI and the kubelet write outside the folders that they were given."""
    for sandbox in (node.socket.parent / "io.containerd.runtime.v2.task/k8s.io").glob("*"):
        if (sandbox / "address").exists():
            Path((sandbox / "address").read_text().removeprefix("unix://")).unlink(missing_ok=True)
        for path in _CNI_RESULTS.glob(f"*-{sandbox.name}-*"):
            path.unlink()
    for link in _CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(node.home):
            link.unlink()


def remove_shared_folders() -> None:
    """Folders that containerd, CNI and kubelets of all nodes made, where nobody else put anything into them."""
    (_KUBELET_PLUGINS / "kubelet.sock").unlink(missing_ok=True)
    for folder in (
        _KUBELET_PLUGINS,
        _KUBELET_PLUGINS.parent,
        _SHIM_SOCKETS,
        _SHIM_SOCKETS.parent,
        _CNI_RESULTS,
        _CNI_RESULTS.parent,
        _CONTAINER_LOGS,
    ):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def remove_state(layout: Layout) -> None:
    if layout.root.exists():
        shutil.rmtree(layout.root)


def shim_pids(node: Node) -> set[int]:
    """containerd's shims outlive it and hold mounts. Their command line names its socket, which tells ours apart."""
    address = str(node.socket).encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"containerd-shim" in words[0] and address in words:
            found.add(int(path.parent.name))
    return found


def kill_all(find: Callable[[], set[int]]) -> None:
    """Kill what `find` finds until it finds nothing."""

    def none_left() -> bool:
        left = find()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(none_left, "all processes of pods are gone", 20)
