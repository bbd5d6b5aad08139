"""The one real node: kubelet and kube-proxy. Its address is the bridge's, so pods reach it and nothing else does."""

import json

import yaml

from dev.cluster import processes
from dev.cluster.certificates import make_client, make_server
from dev.cluster.container_runtime import socket
from dev.cluster.kubeconfig import write_kubeconfig
from dev.cluster.kubectl import run_kubectl
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.network import NODE_ADDRESS, POD_RANGE
from dev.cluster.progress import wait_until
from dev.cluster.record import LOOPBACK, Record

NODE = "node-1"
_READY = '{.status.conditions[?(@.type=="Ready")].status}'


def start_kubelet(layout: Layout, record: Record) -> None:
    pki = layout.certificates
    make_client(pki, "kubelet", f"/O=system:nodes/CN=system:node:{NODE}")
    make_server(pki, "kubelet-server", [f"IP:{NODE_ADDRESS}", f"DNS:{NODE}"])
    kubeconfig = write_kubeconfig(layout.configuration / "kubelet.kubeconfig", record.server, pki, "kubelet")
    configuration = layout.configure("kubelet.yaml", yaml.safe_dump(_kubelet_configuration(layout, record)))
    command = [
        str(bin_dir() / "kubelet"),
        f"--config={configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={layout.root / 'kubelet'}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    ]
    processes.start(layout, "kubelet", command)


def wait_for_node(layout: Layout) -> None:
    def is_ready() -> bool:
        processes.must_be_running(layout, "kubelet")
        names = ("node", NODE, "--ignore-not-found", f"-o=jsonpath={_READY}")
        return run_kubectl(layout.kubeconfig, "get", *names) == "True"

    wait_until(is_ready, f"{NODE} is Ready", 120, layout.log("kubelet"))


def offer_gpus(layout: Layout, count: int) -> None:
    """Say that the node has GPUs. Pods that ask for some are scheduled; no device is attached."""
    amount = {"nvidia.com/gpu": str(count)}
    patch = json.dumps({"status": {"capacity": amount, "allocatable": amount}})
    run_kubectl(layout.kubeconfig, "patch", "node", NODE, "--subresource=status", "--type=merge", "-p", patch)


def start_kube_proxy(layout: Layout, record: Record) -> None:
    pki = layout.certificates
    kubeconfig = write_kubeconfig(layout.configuration / "kube-proxy.kubeconfig", record.server, pki, "kube-proxy")
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": NODE,
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        "healthzBindAddress": f"{LOOPBACK}:{record.ports['kube-proxy-healthz']}",
        "metricsBindAddress": f"{LOOPBACK}:{record.ports['kube-proxy-metrics']}",
        # All pods hang on one bridge: an answer from pod to pod would bypass the host's address translation
        # unless the host is made the asking side.
        "iptables": {"masqueradeAll": True, "localhostNodePorts": False, "minSyncPeriod": "100ms"},
        # Zero leaves the machine's connection tracking as it is.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    configuration = layout.configure("kube-proxy.yaml", yaml.safe_dump(settings))
    processes.start(layout, "kube-proxy", [str(bin_dir() / "kube-proxy"), f"--config={configuration}"])


def _kubelet_configuration(layout: Layout, record: Record) -> dict[str, object]:
    pki = layout.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": record.ports["kubelet"],
        "healthzPort": record.ports["kubelet-healthz"],
        "authentication": {"x509": {"clientCAFile": str(pki / "ca.crt")}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{socket(layout)}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [NODE_ADDRESS],
        "podLogsDir": str(layout.root / "pod-logs"),
        "volumePluginDir": str(layout.root / "volume-plugins"),
        "serializeImagePulls": False,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        # The machine is shared with builds and tests: only a disk or memory that is really full evicts pods.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    }
