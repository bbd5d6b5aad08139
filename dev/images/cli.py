"""`python -m dev.images COMMAND`: the names of the images go to standard output, progress to standard error."""

import argparse
from collections.abc import Sequence

from dev.cluster.errors import ClusterError
from dev.cluster.packages import install_packages
from dev.cluster.preflight import check_full
from dev.cluster.progress import say
from dev.cluster.registry import ADDRESS, standing_registry
from dev.images.build import build_image, push_image
from dev.images.sources import IMAGES


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        check_full()
        install_packages()
        options.run(options)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


def _build(options: argparse.Namespace) -> None:
    for name in options.image or IMAGES:
        print(build_image(IMAGES[name]))


def _push(options: argparse.Namespace) -> None:
    for name in options.image or IMAGES:
        build_image(IMAGES[name])
    with standing_registry(options.registry):
        for name in options.image or IMAGES:
            print(push_image(IMAGES[name], options.registry))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.images", description="The images, built without Docker.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--image", action="append", choices=list(IMAGES), help="only this one (default: all)")

    commands.add_parser("build", parents=[chosen], help="build what changed").set_defaults(run=_build)
    push = commands.add_parser("push", parents=[chosen], help="build what changed and push it")
    push.add_argument("--registry", default=ADDRESS, help="(default: the one-machine cluster's, %(default)s)")
    push.set_defaults(run=_push)
    return parser
