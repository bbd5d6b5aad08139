"""What a cluster could leave on the machine: mounts, interfaces, routes, packet rules, control groups, processes."""

import subprocess
from pathlib import Path


def machine_state(instance: Path) -> dict[str, list[str]]:
    """One sorted list per kind of thing; of processes those that name the folder of the instance."""
    return {
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "routes": _lines("ip", "route"),
        "rules": [line for line in _lines("iptables-save") if line.startswith("-")],
        "control groups": _control_groups(),
        "forwarding": [Path("/proc/sys/net/ipv4/ip_forward").read_text()],
        "processes": [
            text for path in Path("/proc").glob("[0-9]*/cmdline") if f"{instance}/" in (text := _command(path))
        ],
    }


def _control_groups() -> list[str]:
    """Both levels that may hold the pods' groups: the second one where each controller has a tree of its own."""
    return sorted(str(path) for depth in ("*/", "*/*/") for path in Path("/sys/fs/cgroup").glob(depth))


def _lines(*command: str) -> list[str]:
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sorted(line.strip() for line in output.splitlines())


def _command(cmdline: Path) -> str:
    try:
        return cmdline.read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):  # ended since it was listed
        return ""
