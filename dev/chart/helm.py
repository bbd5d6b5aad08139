"""Helm as built by dev/cluster, for the generator and for the chart's tests."""

import subprocess
from pathlib import Path
from typing import Final

from dev.cluster.build import build
from dev.cluster.layout import bin_dir
from dev.cluster.versions import required_version

REPOSITORY: Final = Path(__file__).parents[2]
CHART: Final = REPOSITORY / "helm" / "peft-fsdp-operator"
RELEASE: Final = "peft-fsdp-operator"
NAMESPACE: Final = "peft-fsdp-system"


class HelmError(RuntimeError):
    """Helm refused; the message is what it printed."""


def template(*arguments: str) -> str:
    """The manifests of the chart. `arguments` are further ones of `helm template`, such as `--set`, `replicas=2`."""
    # A Helm that was not built by its makers believes in Kubernetes 1.20.
    version = required_version("k8s.io/kubernetes")
    return run_helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", version, *arguments)


def run_helm(*arguments: str) -> str:
    """What Helm prints. Builds Helm where it is not there yet; raises HelmError where Helm fails."""
    build(("helm",))
    done = subprocess.run([str(bin_dir() / "helm"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmError(done.stderr.strip())
    return done.stdout
