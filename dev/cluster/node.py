"""A real node's name, address and folders. The first belongs to every full cluster; others can be added and killed."""

from dataclasses import dataclass
from pathlib import Path

from dev.cluster.layout import Layout, cache_dir

# Each is an address of the bridge and a kubelet with a containerd of its own: two show what one cannot.
NUMBERS = (1, 2)


@dataclass(frozen=True)
class Node:
    """Node `number` of an instance. Nodes share kernel, bridge and registry, as blades share a rack."""

    layout: Layout
    number: int = 1

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """On the bridge, so pods reach it and nothing else does."""
        return f"10.244.0.{self.number}"

    @property
    def home(self) -> Path:
        """Everything the node keeps but its images; short, because containerd's socket lies below."""
        return self.layout.root / self.name

    @property
    def image_root(self) -> Path:
        """containerd's root. That of the first node is cache and outlives `down`; the others link to its layers."""
        return cache_dir() / ("containerd" if self.number == 1 else f"containerd-{self.number}")

    @property
    def socket(self) -> Path:
        return self.home / "containerd" / "containerd.sock"

    @property
    def cgroup_root(self) -> str:
        """Below it the kubelet makes `kubepods`. Of its own, or the node could not die without the others' pods."""
        return "/" if self.number == 1 else f"/peft-fsdp-{self.name}"

    def program(self, name: str) -> str:
        """What a program of this node is called in pid files, logs and `status`."""
        return f"{name}-{self.number}"


def nodes_of(layout: Layout) -> tuple[Node, ...]:
    """Every node that the instance may have or have had."""
    return tuple(Node(layout, number) for number in NUMBERS)
