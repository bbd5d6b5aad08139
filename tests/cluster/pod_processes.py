"""The processes of pods, as this machine sees them: all nodes share its kernel."""

from collections.abc import Iterator
from pathlib import Path


def processes_of(pod_uid: str, module: str) -> Iterator[int]:
    """Pids, on this machine, of the pod's Python processes whose command names the module."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if module in (folder / "cmdline").read_text() and pod_uid in (folder / "cgroup").read_text():
                yield int(folder.name)
        except (FileNotFoundError, ProcessLookupError):  # ended since it was listed
            continue
