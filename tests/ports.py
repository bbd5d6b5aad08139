"""TCP ports for what tests start."""

from dev.cluster.ports import choose_ports


def free_port() -> int:
    """A port that nobody listens on, and that no other test of this run, and no instance that one starts, gets too."""
    return choose_ports(["test"])["test"]
