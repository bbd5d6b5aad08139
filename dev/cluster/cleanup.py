"""What a dead node leaves on a machine, removed without asking any of its programs, which may be dead too.

`down` calls this; every step finds by itself what there is to do, so it also works after a crash or twice.
"""

import contextlib
import errno
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dev.cluster.command import run
from dev.cluster.container_runtime import image_root, socket
from dev.cluster.layout import Layout
from dev.cluster.progress import wait_until

_CGROUP = "kubepods"
_SHIM_SOCKETS = Path("/run/containerd/s")
_CNI_RESULTS = Path("/var/lib/cni/results")
# Not below --root-dir: the address of the device plugin service is a constant.
_KUBELET_PLUGINS = Path("/var/lib/kubelet/device-plugins")
_CONTAINER_LOGS = Path("/var/log/containers")


def kill_pods(layout: Layout) -> None:
    """Every process in the node's pod cgroups, then containerd's shims, which outlive it and hold the mounts."""
    _kill_all(_pod_pids)
    _kill_all(lambda: _shim_pids(layout))


def unmount_all(layout: Layout) -> None:
    """Deepest first: secrets and tokens, overlays, network namespaces, shared memory."""
    below = (f"{layout.root}/", f"{image_root()}/")
    for point in sorted(mount_points(Path("/proc/self/mounts").read_text(), below), key=len, reverse=True):
        run("umount", "-l", point)


def mount_points(mounts: str, below: tuple[str, ...]) -> list[str]:
    """Mount points of /proc/self/mounts under any of the folders `below`; the kernel writes odd characters in octal."""
    points = (line.split()[1].encode().decode("unicode_escape") for line in mounts.splitlines())
    return [point for point in points if point.startswith(below)]


def remove_cgroups() -> None:
    for folder in _pod_cgroups():
        wait_until(partial(_removed, folder), f"the cgroup {folder} is empty", 20)


def remove_stray_files(layout: Layout) -> None:
    """What containerd, CNI and the kubelet write outside the folders that they were given."""
    for sandbox in (layout.root / "containerd/io.containerd.runtime.v2.task/k8s.io").glob("*"):
        if (sandbox / "address").exists():
            Path((sandbox / "address").read_text().removeprefix("unix://")).unlink(missing_ok=True)
        for path in _CNI_RESULTS.glob(f"*-{sandbox.name}-*"):
            path.unlink()
    for link in _CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.root):
            link.unlink()
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


def _pod_cgroups() -> list[Path]:
    """All of them, in every hierarchy, children before parents."""
    roots = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines() if " cgroup" in line]
    folders = [folder for root in roots if (root / _CGROUP).is_dir() for folder in (root / _CGROUP).rglob("*")]
    folders += [root / _CGROUP for root in roots if (root / _CGROUP).is_dir()]
    return sorted((folder for folder in folders if folder.is_dir()), key=lambda folder: -len(folder.parts))


def _pod_pids() -> set[int]:
    lists = (folder / "cgroup.procs" for folder in _pod_cgroups())
    return {int(pid) for path in lists if path.exists() for pid in path.read_text().split()}


def _shim_pids(layout: Layout) -> set[int]:
    """Shims carry the socket of their containerd on their command line, which tells ours from others'."""
    address = str(socket(layout)).encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"containerd-shim" in words[0] and address in words:
            found.add(int(path.parent.name))
    return found


def _kill_all(find: Callable[[], set[int]]) -> None:
    def none_left() -> bool:
        left = find()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(none_left, "all processes of pods are gone", 20)


def _removed(folder: Path) -> bool:
    """A cgroup can be removed a moment after its last process is gone."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True
