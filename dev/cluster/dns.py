"""CoreDNS as a process of the node, on the bridge's address. Short answers live one second: workers come and go."""

from pathlib import Path

from dev.cluster import processes
from dev.cluster.health import answers
from dev.cluster.kubeconfig import write_kubeconfig
from dev.cluster.kubectl import run_kubectl
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.network import NODE_ADDRESS
from dev.cluster.progress import wait_until
from dev.cluster.record import LOOPBACK, Record

_PROGRAM = "coredns"
_RIGHTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces, nodes], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:coredns"}]
"""


def start_dns(layout: Layout, record: Record) -> None:
    run_kubectl(layout.kubeconfig, "apply", "--server-side", "-f", "-", input=_RIGHTS)
    write_kubeconfig(_kubeconfig(layout), record.server, layout.certificates, "coredns")
    resolver = Path("/etc/resolv.conf")
    upstream = resolver if resolver.exists() and "nameserver" in resolver.read_text() else None
    corefile = layout.configure("Corefile", corefile_text(_kubeconfig(layout), record, upstream))
    processes.start(layout, _PROGRAM, [str(bin_dir() / "coredns"), "-conf", str(corefile), "-quiet"])


def wait_for_dns(layout: Layout, record: Record) -> None:
    def is_ready() -> bool:
        processes.must_be_running(layout, _PROGRAM)
        return answers(f"http://{LOOPBACK}:{record.ports['coredns-health']}/ready")

    wait_until(is_ready, "CoreDNS is ready", 60, layout.log(_PROGRAM))


def corefile_text(kubeconfig: Path, record: Record, upstream: Path | None) -> str:
    """Names outside the cluster go to the machine's own resolver, if it has one."""
    forward = f"\n  forward . {upstream}" if upstream else ""
    return f"""\
.:53 {{
  bind {NODE_ADDRESS}
  errors
  ready {LOOPBACK}:{record.ports["coredns-health"]}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    ttl 1
    fallthrough in-addr.arpa
  }}{forward}
}}
"""


def _kubeconfig(layout: Layout) -> Path:
    return layout.configuration / "coredns.kubeconfig"
