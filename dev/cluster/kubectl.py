"""kubectl against one instance, for the cluster's own set-up and for tests."""

import subprocess
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.layout import bin_dir
from dev.cluster.processes import ENVIRONMENT


def run_kubectl(kubeconfig: Path, *arguments: str, input: str | None = None) -> str:
    """Standard output of `kubectl ARGUMENTS`; its standard error as a ClusterError if it fails."""
    cache = kubeconfig.parent / "kubectl-cache"
    command = [str(bin_dir() / "kubectl"), f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", *arguments]
    result = subprocess.run(command, input=input, capture_output=True, text=True, env=ENVIRONMENT)
    if result.returncode != 0:
        raise ClusterError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def exists(kubeconfig: Path, *names: str) -> bool:
    """Whether every one of `names` (as in `kubectl get`) is there."""
    return bool(run_kubectl(kubeconfig, "get", "--ignore-not-found", "-o=name", *names).strip())
