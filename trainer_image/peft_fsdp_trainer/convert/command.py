"""`peft-fsdp convert`: its options, and what it prints. Called by `cli`."""

import argparse
import logging
import sys
from pathlib import Path

from peft_fsdp_api.job import InvalidJob
from peft_fsdp_api.reasons import Reason, exit_code

from .conversion import convert
from .manifest_text import manifest_text
from .options import CPUS_PER_GPU, DEFAULT_CLAIM, DEFAULT_TOKEN_SECRET, GIB_PER_GPU, GIB_PER_GPU_OFFLOADED, Options

log = logging.getLogger(__name__)


def add_convert(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "convert",
        help="make a job from an Accelerate file and the flags of the PEFT + FSDP guide's script",
        description="Make a PeftFsdpJob from an Accelerate FSDP file and the flags of the PEFT + FSDP guide's script. "
        "The file's comments name every flag that has no meaning any more, and why; docs/from-the-guide.md has the "
        "whole table.",
        usage="%(prog)s --accelerate-config FILE [options] -- ARGS...",
        allow_abbrev=False,
    )
    command.add_argument("--accelerate-config", type=Path, required=True, metavar="FILE", help="the Accelerate file")
    command.add_argument("-o", "--output", type=Path, metavar="OUT", help="file to write; standard output by default")
    _add_choices(command)
    command.add_argument("arguments", nargs="*", metavar="ARGS", help="after --: the flags of the script, as they are")
    command.set_defaults(command=_convert)


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", help="the job's name (default: the last part of --output_dir)")
    command.add_argument("--claim", help=f"PersistentVolumeClaim for the output (default: {DEFAULT_CLAIM})")
    command.add_argument(
        "--cache-claim",
        metavar="NAME",
        help="PersistentVolumeClaim for downloads and prepared data (default: none; each attempt downloads anew)",
    )
    command.add_argument(
        "--token-secret",
        metavar="NAME",
        help=f"Secret with a Hub token under the key token (default: {DEFAULT_TOKEN_SECRET} where the run pushes)",
    )
    command.add_argument(
        "--fsdp-version", type=int, choices=(1, 2), default=2, help="1 asks for the compatible mode (default: 2)"
    )
    command.add_argument("--cpu", help=f"CPUs that each pod asks for (default: {CPUS_PER_GPU} per GPU)")
    command.add_argument(
        "--memory",
        metavar="SIZE",
        help="memory that each pod asks for, such as 128Gi "
        f"(default: {GIB_PER_GPU}Gi per GPU, {GIB_PER_GPU_OFFLOADED}Gi with parameters offloaded)",
    )


def _convert(options: argparse.Namespace) -> int:
    chosen = Options(
        name=options.name,
        claim=options.claim,
        token_secret=options.token_secret,
        fsdp_version=options.fsdp_version,
        cpu=options.cpu,
        memory=options.memory,
        cache_claim=options.cache_claim,
    )
    file: Path = options.accelerate_config
    try:
        content = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        log.error("%s cannot be read: %s", file, error)
        return exit_code(Reason.CONFIG_INVALID)
    try:
        conversion = convert(options.arguments, content, chosen)
    except InvalidJob as error:
        log.error("this cannot be converted:\n%s", "\n".join(f"  {problem}" for problem in error.problems))
        return exit_code(Reason.CONFIG_INVALID)
    text = manifest_text(conversion, file.name)
    if options.output is None:
        sys.stdout.write(text)
    elif not _written(options.output, text):
        return exit_code(Reason.CONFIG_INVALID)
    log.info("%d flags and keys have no meaning in this job; its comments say why", len(conversion.idle))
    return 0


def _written(file: Path, text: str) -> bool:
    try:
        file.write_text(text)
    except OSError as error:
        log.error("%s cannot be written: %s", file, error)
        return False
    return True
