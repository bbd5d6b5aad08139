"""`python -m dev.demo up | down | input`: the demo of the README."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.instance import FULL, down
from dev.cluster.progress import say, step
from dev.demo import walk
from dev.demo.here import access, target_from_environment
from dev.demo.inputs import write_inputs
from dev.demo.ownership import DEMO_NAMESPACE
from dev.demo.removal import remove
from dev.demo.target import DemoError
from dev.demo.yours import named_cluster
from peft_fsdp_trainer.library_noise import silence_known_noise


def main() -> int:
    options = _parser().parse_args()
    silence_known_noise()
    try:
        options.run(options)
    except (DemoError, ClusterError) as error:
        say(f"error: {error}")
        return 1
    return 0


def _up(options: argparse.Namespace) -> None:
    target = target_from_environment()
    with step("installing the chart with Helm"):
        walk.install_chart(target)
    walk.create_namespace(target, DEMO_NAMESPACE)
    with step("base model and dataset into the claim demo-input"), tempfile.TemporaryDirectory() as scratch:
        walk.prepare_claims(target, DEMO_NAMESPACE, Path(scratch))
    print(f"kubectl apply -f {walk.EXAMPLE.relative_to(walk.ROOT)}")
    walk.train(target, DEMO_NAMESPACE)
    print(walk.ask(target, DEMO_NAMESPACE))
    print("`make demo-down` removes everything that was started.")


def _down(options: argparse.Namespace) -> None:
    yours = named_cluster(os.environ)
    if yours is None:
        with step("stopping the one-machine cluster"):
            down(FULL)
        return
    with step("removing the demo"):
        stays = remove(access(yours.kubeconfig))
    for line in stays:
        say(line)


def _input(options: argparse.Namespace) -> None:
    with step("base model and dataset"):
        folder = write_inputs(options.claims)
    print(f"{folder}: now `peft-fsdp run manifests/examples/cpu-demo.yaml`")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("up", help="from nothing to an answer").set_defaults(run=_up)
    commands.add_parser("down", help="remove everything `up` started").set_defaults(run=_down)
    data = commands.add_parser("input", help="base model and dataset as the folder of a claim")
    data.add_argument("--claims", type=Path, default=Path("claims"), help="folder of the claims")
    data.set_defaults(run=_input)
    return parser


if __name__ == "__main__":
    sys.exit(main())
