"""Control groups of the nodes' pods, in every hierarchy: version 1 has one per controller, version 2 a single one."""

import errno
from functools import partial
from pathlib import Path

from dev.cluster.node import Node
from dev.cluster.progress import wait_until

_PODS = "kubepods"
_UNIFIED = "cgroup2"


def make_cgroup(name: str) -> None:
    """The kubelet wants the group below which it works to exist."""
    if name == "/":
        return
    for kind, root in _hierarchies():
        (root / name.lstrip("/")).mkdir(exist_ok=True)
        if kind == _UNIFIED:
            controllers = (root / "cgroup.controllers").read_text().split()
            (root / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))


def pod_pids(node: Node) -> set[int]:
    """Every process in the node's pods."""
    lists = (folder / "cgroup.procs" for folder in _groups(node))
    return {int(pid) for path in lists if path.exists() for pid in path.read_text().split()}


def remove_cgroups(node: Node) -> None:
    for folder in _groups(node):
        wait_until(partial(_removed, folder), f"the cgroup {folder} is empty", 20)


def _groups(node: Node) -> list[Path]:
    """Those of the node, in every hierarchy, children before parents."""
    own = node.cgroup_root.lstrip("/") or _PODS
    tops = [root / own for _, root in _hierarchies() if (root / own).is_dir()]
    folders = [folder for top in tops for folder in (top, *top.rglob("*")) if folder.is_dir()]
    return sorted(folders, key=lambda folder: -len(folder.parts))


def _hierarchies() -> list[tuple[str, Path]]:
    """File system type and mount point of each."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [(fields[2], Path(fields[1])) for fields in mounts if fields[2].startswith("cgroup")]


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
