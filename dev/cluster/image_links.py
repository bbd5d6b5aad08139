"""The images of one node for another, as hard links: half a second and no disk instead of a minute and 7 GB.

Layers are only ever read, so nodes can share the files (and the kernel caches them once). Each keeps its own lists of
what it has, pulls what it lacks, and removes only its own links.
"""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.cluster import processes
from dev.cluster.command import run
from dev.cluster.node import Node

_CONTENT = "io.containerd.content.v1.content"
_LAYERS = "io.containerd.snapshotter.v1.overlayfs"
_LISTS = (f"{_LAYERS}/metadata.db", "io.containerd.metadata.v1.bolt/meta.db")


def link_images(source: Node, target: Node, daemon: str) -> None:
    """Fill the new image root of `target`. `daemon` is the containerd of `source`, which stands still meanwhile."""
    shutil.rmtree(target.image_root, ignore_errors=True)
    with _standing_still(processes.running_pid(source.layout.pid_file(daemon))):
        layers = source.image_root / _LAYERS / "snapshots"
        written = containers_layers(Path("/proc/self/mounts").read_text(), layers)
        _link([source.image_root / _CONTENT / "blobs"], target.image_root / _CONTENT)
        _link(
            [path for path in layers.iterdir() if path.name not in written], target.image_root / _LAYERS / "snapshots"
        )
        for name in _LISTS:
            (target.image_root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.image_root / name, target.image_root / name)


def containers_layers(mounts: str, layers: Path) -> set[str]:
    """Names of the layers that running containers write to, theirs alone. `mounts` as in /proc/self/mounts."""
    return set(re.findall(rf"upperdir={re.escape(str(layers))}/(\w+)/", mounts))


@contextmanager
def _standing_still(pid: int | None) -> Iterator[None]:
    """A database that nobody writes to can be copied; containerd's reads such a copy as it would after a power cut."""
    if pid is None:
        yield
        return
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _link(sources: list[Path], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if sources:
        run("cp", "-al", "--target-directory", str(target), *map(str, sources))
