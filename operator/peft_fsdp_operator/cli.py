"""`peft-fsdp-operator`: runs the operator, prints the CRD, checks and renders jobs. Only `run` needs a cluster."""

import argparse
import asyncio
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from peft_fsdp_api.job import InvalidJob, PeftFsdpJob, parse_job
from peft_fsdp_api.manifest import load_jobs

from .errors import ConfigurationError, OperatorError
from .logs import set_up_logging
from .render import render_configmap, render_pods, render_service
from .settings import add_flags, read_settings

DEFAULT_IMAGE = "peft-fsdp-trainer"
RENDERED_UID = "00000000-0000-0000-0000-000000000000"


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry of the program; returns its exit code."""
    flags = _parser().parse_args(arguments)
    try:
        code: int = flags.command(flags)
    except OperatorError as error:
        print(f"peft-fsdp-operator: {error}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="peft-fsdp-operator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator")
    add_flags(run)
    run.set_defaults(command=_run)
    crd = commands.add_parser("crd", help="print the CustomResourceDefinition")
    crd.set_defaults(command=_crd)
    validate = commands.add_parser("validate", help="check job files; exit code 1 if one is wrong")
    validate.add_argument("files", nargs="+", type=Path, metavar="FILE")
    validate.set_defaults(command=_validate)
    render = commands.add_parser("render", help="print the Service, ConfigMap and pods of a job's first attempt")
    render.add_argument("file", type=Path, metavar="FILE")
    render.add_argument("--trainer-image", default=DEFAULT_IMAGE)
    render.set_defaults(command=_render)
    return parser


def _run(flags: argparse.Namespace) -> int:
    from .handlers import run_operator  # kopf takes half a second, which the other commands need not wait for

    gc.freeze()  # what was imported stays: the collector would walk over it again and again
    settings = read_settings(flags)
    set_up_logging(settings.log_format, settings.log_level)
    asyncio.run(run_operator(settings))
    return 0


def _crd(_: argparse.Namespace) -> int:
    from peft_fsdp_api.crd import crd_yaml

    print(crd_yaml(), end="")
    return 0


def _validate(flags: argparse.Namespace) -> int:
    wrong = 0
    for file in flags.files:
        for number, document in enumerate(_jobs(file), start=1):
            name = f"{file}[{number}]" if number > 1 else str(file)
            try:
                parse_job(document)
            except InvalidJob as error:
                wrong += 1
                for problem in error.problems:
                    print(f"{name}: {problem}")
            else:
                print(f"{name}: valid")
    return 1 if wrong else 0


def _render(flags: argparse.Namespace) -> int:
    for document in _jobs(flags.file):
        if isinstance(document.get("metadata"), dict):
            document["metadata"].setdefault("uid", RENDERED_UID)
        try:
            job = parse_job(document)
        except InvalidJob as error:
            for problem in error.problems:
                print(f"{flags.file}: {problem}", file=sys.stderr)
            return 1
        print("---")
        print(yaml.dump_all(_children(job, flags.trainer_image), Dumper=_Dumper, sort_keys=False), end="")
    return 0


def _children(job: PeftFsdpJob, image: str) -> list[dict[str, Any]]:
    pods = render_pods(job, 1, range(job.spec.workers.nodes), image)
    return [render_service(job), render_configmap(job), *pods]


def _jobs(file: Path) -> list[dict[str, Any]]:
    """The jobs in a file, read as kubectl reads it."""
    try:
        return load_jobs(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file}: {error}") from error


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: no anchors, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
