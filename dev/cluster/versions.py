"""The programs that are built from source, with their versions.

Kubernetes and etcd have theirs in go/go.mod, where their dependencies are locked too, and so have our own programs in
their modules; the others carry theirs here.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

GO_MODULE = Path(__file__).parent / "go"
GITOPS_MODULE = Path(__file__).parents[1] / "gitops" / "go"
FULL_CLUSTER = ("kubernetes", "etcd", "pause", "coredns", "helm")


@dataclass(frozen=True)
class Component:
    """`package` is a folder of one of our Go modules (`./name`) or a `path@version` that `go install` takes."""

    name: str
    package: str
    linker_flags: str = ""
    links: tuple[str, ...] = ()
    cold_build: str = "1 minute"
    module: Path = field(default=GO_MODULE, repr=False)


def components() -> dict[str, Component]:
    version = required_version("k8s.io/kubernetes")
    _, minor, _ = version.split(".")
    stamp = "-X k8s.io/component-base/version.git"
    all_components = [
        Component(
            "kubernetes",
            "./kubernetes",
            # Without these clients see v0.0.0.
            f"{stamp}Version={version} {stamp}Major=1 {stamp}Minor={minor}",
            ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
            "6 minutes",
        ),
        Component("etcd", "./etcd", cold_build="10 seconds after kubernetes"),
        Component("pause", "./pause", cold_build="seconds"),
        Component("helm", "helm.sh/helm/v3/cmd/helm@v3.22.0"),
        Component("kwok", "sigs.k8s.io/kwok/cmd/kwok@v0.8.0"),
        Component("coredns", "github.com/coredns/coredns@v1.15.0", cold_build="2 minutes"),
        Component("gitops-verdict", "./verdict", cold_build="2 minutes", module=GITOPS_MODULE),
    ]
    return {component.name: component for component in all_components}


def required_version(module: str) -> str:
    """The version that go.mod requires of `module`, e.g. `v1.37.2`."""
    return _declared(rf"^\s*(?:require )?{re.escape(module)} (v\S+)")


def required_go() -> str:
    """The Go version that go.mod asks for, e.g. `1.26.0`."""
    return _declared(r"^go (\S+)")


def _declared(pattern: str) -> str:
    match = re.search(pattern, (GO_MODULE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise ValueError(f"go.mod has no line like {pattern}")
    return match.group(1)
