"""kube-apiserver: RBAC, the default admission plugins (PodSecurity among them) and an audit log of every request."""

from dev.cluster import processes
from dev.cluster.health import answers
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.progress import wait_until
from dev.cluster.record import LOOPBACK, Record

SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
# The name of the service account issuer; clients compare it, nobody resolves it.
_ISSUER = "https://kubernetes.default.svc.cluster.local"
# Who did what to which object, without bodies: enough to count requests by user agent, verb and resource.
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""
# Every version of a job, its children and the nodes, in the order of their resource versions.
_AUDIT_POLICY_WITH_BODIES = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources:
  - group: ""
    resources: [pods, pods/status, services, configmaps, nodes]
  - group: training.peft-fsdp.io
- level: Metadata
"""


def serving_names(record: Record) -> list[str]:
    """Every name under which a client may know the API server, as subject alternative names."""
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = sorted({LOOPBACK, record.address, SERVICE_ADDRESS})
    return [f"DNS:{name}" for name in ("localhost", *service)] + [f"IP:{address}" for address in addresses]


def start_apiserver(layout: Layout, record: Record) -> None:
    processes.start(layout, "kube-apiserver", _command(layout, record))


def wait_for_apiserver(layout: Layout, record: Record) -> None:
    def is_ready() -> bool:
        processes.must_be_running(layout, "etcd")
        processes.must_be_running(layout, "kube-apiserver")
        return answers(f"{record.server}/readyz", layout.certificates / "ca.crt")

    wait_until(is_ready, "the API server is ready", 90, layout.log("kube-apiserver"))


def _command(layout: Layout, record: Record) -> list[str]:
    pki = layout.certificates
    command = [
        str(bin_dir() / "kube-apiserver"),
        f"--etcd-servers=http://{LOOPBACK}:{record.ports['etcd']}",
        f"--bind-address={record.address}",
        f"--advertise-address={record.address}",
        f"--secure-port={record.ports['apiserver']}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        # Without this `kubectl logs` looks the node's name up in DNS.
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged",
    ]
    if not record.full:
        # The API server refuses to publish a loopback address as the `kubernetes` service, and nobody could use it.
        command.append("--endpoint-reconciler-type=none")
    if record.audit:
        policy = layout.configure(
            "audit-policy.yaml", _AUDIT_POLICY_WITH_BODIES if record.audit_bodies else _AUDIT_POLICY
        )
        command += [f"--audit-policy-file={policy}", f"--audit-log-path={layout.audit_log}", "--audit-log-maxsize=1000"]
    return command
