"""The command `peft-fsdp`: `launch` is what a trainer pod runs, the others are for a person at a machine."""

import argparse
import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from peft_fsdp_api import __version__, names
from peft_fsdp_api.durations import parse_duration
from peft_fsdp_api.job import InvalidJob
from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import Reason, exit_code

from .convert.command import add_convert
from .errors import TrainerError
from .failure import describe
from .launcher.launch import launch
from .launcher.outcome import outcome_of_error, outcome_of_failure
from .launcher.settings import LaunchSettings, Limits, make_run_dir, read_placement
from .launcher.termination import write_termination_message
from .library_noise import silence_known_noise
from .local import plan_run, read_job
from .local_run import run_here

EPILOG = "The reference of the job file is docs/reference.md; examples are in manifests/examples/."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="peft-fsdp: %(message)s")
    options = _parser().parse_args(arguments)
    code: int = options.command(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="peft-fsdp", description="LoRA and QLoRA fine-tuning sharded with FSDP.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"peft-fsdp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    add_convert(commands)
    _add_ask(commands)
    _add_launch(commands)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="run a job on this machine, without a cluster",
        description="Run a PeftFsdpJob on this machine: the same validation and the same trainer as on a cluster. A "
        "claim is a folder: claim X of the job is CLAIMS/X. Ctrl-C saves and stops; the same command goes on.",
    )
    run.add_argument("file", type=Path, metavar="FILE", help="the job's YAML file")
    run.add_argument(
        "--claims", type=Path, default=Path("claims"), metavar="DIR", help="folder of the claims (default: ./claims)"
    )
    run.add_argument(
        "--processes", type=_positive, metavar="N", help="ranks on this machine, instead of those of spec.workers"
    )
    run.add_argument("--grace-period", type=_seconds, default=Limits().grace, metavar="TIME", help=GRACE_HELP)
    run.set_defaults(command=_run)


def _add_ask(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ask = commands.add_parser("ask", help="ask a base model the same question without and with an adapter")
    ask.add_argument("base", metavar="BASE", help="Hub id or folder of the base model")
    ask.add_argument("adapter", type=Path, metavar="ADAPTER", help="folder of the adapter")
    ask.add_argument("question", metavar="QUESTION")
    ask.set_defaults(command=_ask)


def _add_launch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    launch_parser = commands.add_parser(
        "launch",
        help="run the ranks of one pod (the entry point of the trainer image)",
        description="Run the ranks of one pod. Reads MASTER_ADDR, MASTER_PORT, NNODES, NODE_RANK, NPROC_PER_NODE, "
        "WORLD_SIZE and PEFT_FSDP_ATTEMPT, and serves /progress, /metrics and /healthz.",
    )
    launch_parser.add_argument("--config", type=Path, default=Path(names.CONFIG_PATH), metavar="PATH")
    launch_parser.add_argument(
        "--termination-message", type=Path, default=Path(names.TERMINATION_MESSAGE_PATH), metavar="PATH"
    )
    launch_parser.add_argument("--port", type=int, default=names.LAUNCHER_PORT)
    launch_parser.add_argument("--grace-period", type=_seconds, default=Limits().grace, metavar="TIME", help=GRACE_HELP)
    launch_parser.add_argument(
        "--rendezvous-timeout",
        type=_seconds,
        default=Limits().rendezvous,
        metavar="TIME",
        help=f"longest wait for worker 0 (default: {Limits().rendezvous:.0f}s)",
    )
    launch_parser.set_defaults(command=_launch)


GRACE_HELP = f"time for the save after SIGTERM, such as 90s (default: {Limits().grace}s)"


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _launch(options: argparse.Namespace) -> int:
    outcome = _launch_outcome(options)
    write_termination_message(outcome, options.termination_message)
    _say_last(" ".join(part for part in (f"{outcome.reason}:", outcome.message, outcome.hint) if part))
    return exit_code(outcome.reason)


def _say_last(words: str) -> None:
    """The last line of the log, after which the exit code tells the reason even where nobody can read the log."""
    try:
        print(words, file=sys.stderr, flush=True)
    except OSError:
        # Or the interpreter fails to flush what is left, and ends with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _launch_outcome(options: argparse.Namespace) -> Outcome:
    run_dir = make_run_dir()
    try:
        settings = LaunchSettings(
            placement=read_placement(os.environ),
            config=options.config,
            run_dir=run_dir,
            port=options.port,
            limits=Limits(rendezvous=options.rendezvous_timeout, grace=options.grace_period),
        )
        return asyncio.run(launch(settings))
    except TrainerError as error:
        return outcome_of_error(error)
    except Exception as error:
        logging.exception("the launcher itself failed")
        return outcome_of_failure(describe(error, rank=0, stage=Stage.START, step=None))
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


def _run(options: argparse.Namespace) -> int:
    try:
        job = read_job(options.file)
        run = plan_run(job, options.file, options.claims, options.processes, os.environ)
    except InvalidJob as error:
        print(f"{options.file} cannot run here:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return exit_code(Reason.CONFIG_INVALID)
    return run_here(run, Limits(grace=options.grace_period))


def _ask(options: argparse.Namespace) -> int:
    # torch and transformers take seconds to import; no other command of this file needs them.
    silence_known_noise()
    from .ask import ask

    try:
        before, after = ask(options.base, options.adapter, options.question)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return exit_code(Reason.MODEL_NOT_AVAILABLE)
    print(f"base model: {before}\nwith adapter: {after}")
    return 0
