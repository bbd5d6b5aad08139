"""The pod network: one bridge that is also the node's address, three iptables rules, and the removal of all of it.

One full cluster per machine: kube-proxy's chains have fixed names.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from dev.cluster.command import run, succeeds
from dev.cluster.errors import ClusterError
from dev.cluster.iptables import removal_script
from dev.cluster.layout import Layout

BRIDGE = "pfsdp0"
NODE_ADDRESS = "10.244.0.1"
POD_RANGE = "10.244.0.0/16"
# containerd calls every pod's link so.
_POD_LINK = "eth0"
PLUGINS = "/usr/lib/cni"
CNI_NETWORK = "peft-fsdp"
RULE_MARK = "peft-fsdp-cluster"
_RULES = (
    ("nat", "POSTROUTING", f"-s {POD_RANGE} ! -d {POD_RANGE} -j MASQUERADE"),
    ("filter", "FORWARD", f"-i {BRIDGE} -j ACCEPT"),
    ("filter", "FORWARD", f"-o {BRIDGE} -j ACCEPT"),
)


def check_no_other_cluster() -> None:
    """Before the first start of a full cluster: its chains and ours would have the same names."""
    if any(":KUBE-" in run(f"{tool}-save") for tool in ("iptables", "ip6tables")):
        raise ClusterError(
            "this machine has iptables chains of a Kubernetes node already (KUBE-*): "
            "stop that cluster first (`python -m dev.cluster status` lists ours)"
        )


def start_network(layout: Layout) -> None:
    if not succeeds("ip", "link", "show", BRIDGE):
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    add_address(NODE_ADDRESS)
    run("ip", "link", "set", BRIDGE, "up")
    for table, chain, rule in _RULES:
        arguments = [chain, *rule.split(), "-m", "comment", "--comment", RULE_MARK]
        if not succeeds("iptables", "-w", "-t", table, "-C", *arguments):
            run("iptables", "-w", "-t", table, "-A", *arguments)
    layout.configure("cni/10-pods.conflist", _cni_configuration(layout))


def add_address(address: str) -> None:
    """A node's address on the bridge."""
    run("ip", "address", "replace", f"{address}/16", "dev", BRIDGE)


def remove_address(address: str) -> None:
    if succeeds("ip", "link", "show", BRIDGE) and address in run("ip", "address", "show", "dev", BRIDGE):
        run("ip", "address", "delete", f"{address}/16", "dev", BRIDGE)


def unplug(pids: Iterable[int]) -> None:
    """Take down the network of the pods that these processes belong to; of one that ends meanwhile there is none."""
    own = _network_of(os.getpid())
    pods = {network: pid for pid in pids if (network := _network_of(pid)) not in (None, own)}
    for pid in pods.values():
        succeeds("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "set", _POD_LINK, "down")


def _network_of(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except (FileNotFoundError, ProcessLookupError):
        return None


def cni_folder(layout: Layout) -> Path:
    """Where containerd reads how a pod is connected. One file for all nodes: they give out one range of addresses."""
    return layout.configuration / "cni"


def remove_network() -> None:
    """Links and rules; pods' network namespaces must be gone, or their ends of the cables stay until they are."""
    if succeeds("ip", "link", "show", BRIDGE):
        for link in json.loads(run("ip", "-json", "link", "show", "master", BRIDGE)):
            if succeeds("ip", "link", "show", link["ifname"]):
                run("ip", "link", "delete", link["ifname"])
        run("ip", "link", "delete", BRIDGE)
    for tool in ("iptables", "ip6tables"):
        script = removal_script(run(f"{tool}-save"), RULE_MARK)
        if script:
            run(f"{tool}-restore", "--noflush", "--wait", input=script)


def _cni_configuration(layout: Layout) -> str:
    # No ipMasq: it would run iptables several times per pod for what one rule says.
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.root / "pod-addresses"),
            "ranges": [[{"subnet": POD_RANGE, "rangeStart": "10.244.1.1", "gateway": NODE_ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": CNI_NETWORK, "plugins": [bridge]}, indent=1)
