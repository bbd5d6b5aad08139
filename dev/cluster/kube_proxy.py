"""kube-proxy: one for all nodes of an instance, because they share the kernel whose rules it writes."""

import yaml

from dev.cluster import processes
from dev.cluster.kubeconfig import write_kubeconfig
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.network import POD_RANGE
from dev.cluster.node import Node
from dev.cluster.record import LOOPBACK, Record

PROGRAM = "kube-proxy"


def start_kube_proxy(layout: Layout, record: Record) -> None:
    pki = layout.certificates
    kubeconfig = write_kubeconfig(layout.configuration / "kube-proxy.kubeconfig", record.server, pki, "kube-proxy")
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": Node(layout).name,
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
    processes.start(layout, PROGRAM, [str(bin_dir() / "kube-proxy"), f"--config={configuration}"])
