"""The kubelet of a node, and what a cluster says about the node."""

import json

import yaml

from dev.cluster import processes
from dev.cluster.certificates import make_client, make_server
from dev.cluster.cgroups import make_cgroup
from dev.cluster.kubeconfig import write_kubeconfig
from dev.cluster.kubectl import run_kubectl
from dev.cluster.layout import bin_dir
from dev.cluster.network import NODE_ADDRESS
from dev.cluster.node import Node
from dev.cluster.progress import wait_until
from dev.cluster.record import Record

PROGRAM = "kubelet"
_READY = '{.status.conditions[?(@.type=="Ready")].status}'


def start_kubelet(node: Node, record: Record) -> None:
    pki, program = node.layout.certificates, node.program(PROGRAM)
    make_client(pki, program, f"/O=system:nodes/CN=system:node:{node.name}")
    make_server(pki, f"{program}-server", [f"IP:{node.address}", f"DNS:{node.name}"])
    kubeconfig = write_kubeconfig(node.layout.configuration / f"{program}.kubeconfig", record.server, pki, program)
    configuration = node.layout.configure(f"{program}.yaml", yaml.safe_dump(_configuration(node, record)))
    make_cgroup(node.cgroup_root)
    command = [
        str(bin_dir() / "kubelet"),
        f"--config={configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={node.home / 'kubelet'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]
    processes.start(node.layout, program, command)


def wait_for_node(node: Node) -> None:
    def is_ready() -> bool:
        processes.must_be_running(node.layout, node.program(PROGRAM))
        names = ("node", node.name, "--ignore-not-found", f"-o=jsonpath={_READY}")
        return run_kubectl(node.layout.kubeconfig, "get", *names) == "True"

    wait_until(is_ready, f"{node.name} is Ready", 120, node.layout.log(node.program(PROGRAM)))


def offer_gpus(node: Node, count: int) -> None:
    """Say that the node has GPUs. Pods that ask for some are scheduled; no device is attached."""
    amount = {"nvidia.com/gpu": str(count)}
    patch = json.dumps({"status": {"capacity": amount, "allocatable": amount}})
    run_kubectl(node.layout.kubeconfig, "patch", "node", node.name, "--subresource=status", "--type=merge", "-p", patch)


def _configuration(node: Node, record: Record) -> dict[str, object]:
    pki = node.layout.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "port": record.ports["kubelet"],
        "healthzBindAddress": node.address,
        "healthzPort": record.ports["kubelet-healthz"],
        "authentication": {"x509": {"clientCAFile": str(pki / "ca.crt")}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"{node.program(PROGRAM)}-server.crt"),
        "tlsPrivateKeyFile": str(pki / f"{node.program(PROGRAM)}-server.key"),
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [NODE_ADDRESS],
        "podLogsDir": str(node.home / "pod-logs"),
        "volumePluginDir": str(node.home / "volume-plugins"),
        "serializeImagePulls": False,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        # Renewed four times in this span. With the controller manager's grace period, it is how long a node that
        # died looks alive; Kubernetes' own 40 s are for networks, and there is none here.
        "nodeLeaseDurationSeconds": 8,
        # The machine is shared with builds and tests: only a disk or memory that is really full evicts pods.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # A disk that was full for a moment, while an image was built, keeps pods away for this long, not for 5 minutes.
        "evictionPressureTransitionPeriod": "10s",
        "imageGCHighThresholdPercent": 100,
    }
