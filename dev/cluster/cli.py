"""`python -m dev.cluster COMMAND`: only reads the arguments and prints. README.md beside this file shows its use."""

import argparse
from collections.abc import Sequence

from dev.cluster import instance
from dev.cluster.build import build
from dev.cluster.errors import ClusterError
from dev.cluster.layout import Layout, bin_dir
from dev.cluster.node import NUMBERS
from dev.cluster.progress import say, step
from dev.cluster.status import describe_instances


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


def _build(options: argparse.Namespace) -> None:
    build(options.component)


def _up(options: argparse.Namespace) -> None:
    name = options.name or (instance.CONTROL_PLANE if options.control_plane_only else instance.FULL)
    with step(f"starting {name}"):
        if options.control_plane_only:
            cluster = instance.up_control_plane(name, audit=not options.no_audit)
        else:
            cluster = instance.up_full(name, gpus=options.gpus, nodes=options.nodes)
    say(f"export KUBECONFIG={cluster.kubeconfig}")


def _kwok(options: argparse.Namespace) -> None:
    with step(f"starting {options.nodes} fake nodes"):
        instance.add_fake_nodes(options.name, options.nodes, options.gpus)


def _stop_node(options: argparse.Namespace) -> None:
    with step(f"stopping {options.node}"):
        instance.stop_node(options.name, options.node, options.only_kubelet)


def _volume(options: argparse.Namespace) -> None:
    cluster = instance.running_cluster(options.name)
    print(cluster.volume(options.claim, options.namespace, options.size, options.mode))


def _down(options: argparse.Namespace) -> None:
    with step(f"stopping {options.name}"):
        instance.down(options.name)


def _status(options: argparse.Namespace) -> None:
    print(describe_instances())


def _env(options: argparse.Namespace) -> None:
    print(f"export KUBECONFIG={Layout(options.name).kubeconfig}")
    print(f"export PATH={bin_dir()}:$PATH")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.cluster", description="A real Kubernetes on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=instance.FULL, help="which instance (default: %(default)s)")

    make = commands.add_parser("build", help="build the programs; what is built already is left alone")
    make.add_argument("--component", action="append", default=[], help="only this one (may be repeated)")
    make.set_defaults(run=_build)

    up = commands.add_parser("up", help="start, or repair what died of, an instance")
    up.add_argument("--name", help="(default: main, or control-plane with --control-plane-only)")
    up.add_argument("--control-plane-only", action="store_true", help="no node: an API server in seconds")
    up.add_argument("--no-audit", action="store_true", help="no audit log (control plane only)")
    up.add_argument("--gpus", type=int, default=0, help="nvidia.com/gpu that each real node claims to have")
    up.add_argument("--nodes", type=int, choices=NUMBERS, default=1, help="real nodes (default: %(default)s)")
    up.set_defaults(run=_up)

    kwok = commands.add_parser("kwok", parents=[named], help="add fake nodes to a running instance")
    kwok.add_argument("nodes", type=int)
    kwok.add_argument("--gpus", type=int, default=0, help="nvidia.com/gpu of each")
    kwok.set_defaults(run=_kwok)

    stop = commands.add_parser(
        "stop-node", parents=[named], help="kill a node with its pods; `up --nodes 2` repairs it"
    )
    stop.add_argument("node")
    stop.add_argument("--only-kubelet", action="store_true", help="the node falls silent, its pods go on working")
    stop.set_defaults(run=_stop_node)

    volume = commands.add_parser("volume", parents=[named], help="make a claim with a volume; prints its folder")
    volume.add_argument("claim")
    volume.add_argument("--namespace", default="default")
    volume.add_argument("--size", default="5Gi")
    volume.add_argument("--mode", choices=["RWO", "RWX"], default="RWX")
    volume.set_defaults(run=_volume)

    commands.add_parser("down", parents=[named], help="stop an instance and remove all of it").set_defaults(run=_down)
    commands.add_parser("status", help="what runs").set_defaults(run=_status)
    commands.add_parser("env", parents=[named], help="shell lines for eval").set_defaults(run=_env)
    return parser
