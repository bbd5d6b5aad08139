"""Run a short system command (ip, iptables, ctr, umount) and say what it said if it fails."""

import subprocess

from dev.cluster.errors import ClusterError


def run(*command: str, input: str | None = None) -> str:
    result = subprocess.run(command, input=input, capture_output=True, text=True)
    if result.returncode != 0:
        raise ClusterError(f"{' '.join(command)} failed: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def succeeds(*command: str) -> bool:
    """Whether a command that only asks a question says yes."""
    return subprocess.run(command, capture_output=True).returncode == 0
