"""Kernel settings that the kubelet and the pod network change, remembered before and put back by `down`."""

import json
from pathlib import Path

from dev.cluster.layout import Layout

_SETTINGS = (
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_PROC = Path("/proc/sys")


def remember_settings(layout: Layout) -> None:
    """Only the first time: a repaired cluster must not take its own values for the machine's."""
    path = _file(layout)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({name: (_PROC / name).read_text().strip() for name in _SETTINGS}, indent=1))
    (_PROC / "net/ipv4/ip_forward").write_text("1")


def restore_settings(layout: Layout) -> None:
    path = _file(layout)
    if not path.exists():
        return
    for name, value in json.loads(path.read_text()).items():
        if (_PROC / name).read_text().strip() != value:
            (_PROC / name).write_text(value)


def _file(layout: Layout) -> Path:
    return layout.configuration / "kernel-settings.json"
