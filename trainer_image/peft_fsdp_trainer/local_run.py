"""Runs a planned job on this machine: folders, a free port, the launcher, and words for the person who waits."""

import asyncio
import logging
import shutil
import socket
from pathlib import Path
from typing import Final

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.reasons import exit_code

from .errors import TrainerError
from .fence import newest_attempt
from .launcher.launch import launch
from .launcher.outcome import outcome_of_error
from .launcher.run_dir import read_progress
from .launcher.settings import LaunchSettings, Limits, Placement, make_run_dir
from .local import LocalRun
from .local_words import Narrator, describe_end

LOOPBACK: Final = "127.0.0.1"
POLL_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


def run_here(run: LocalRun, limits: Limits) -> int:
    """Run the job to its end and return the exit code of its reason."""
    for note in run.notes:
        log.warning(note)
    paths = run.config.paths
    for folder in (paths.volume, paths.cache, paths.scratch):
        Path(folder).mkdir(parents=True, exist_ok=True)
    run_dir = make_run_dir()
    try:
        outcome = asyncio.run(_launch(_settings(run, run_dir, limits)))
    except TrainerError as error:
        outcome = outcome_of_error(error)
    finally:
        shutil.rmtree(run_dir)
        shutil.rmtree(paths.scratch)
    print(describe_end(outcome, run.config), flush=True)  # noqa: T201 - this is what the command is for
    return exit_code(outcome.reason)


def _settings(run: LocalRun, run_dir: Path, limits: Limits) -> LaunchSettings:
    """The run is the next attempt of its job: where one of the same file is still going on, it gives way."""
    config = run_dir / "config.json"
    config.write_text(run.config.model_dump_json(by_alias=True, exclude_none=True))
    placement = Placement(
        attempt=newest_attempt(Path(run.config.paths.output), run.config.job.uid) + 1,
        node_rank=0,
        nodes=1,
        ranks_per_node=run.processes,
        master_addr=LOOPBACK,
        master_port=_free_port(),
    )
    return LaunchSettings(
        placement=placement,
        config=config,
        run_dir=run_dir,
        host=LOOPBACK,
        port=0,
        limits=limits,
        environment=run.environment,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


async def _launch(settings: LaunchSettings) -> Outcome:
    narration = asyncio.create_task(_narrate(settings))
    outcome = await launch(settings)
    narration.cancel()
    return outcome


async def _narrate(settings: LaunchSettings) -> None:
    narrator = Narrator()
    loop = asyncio.get_running_loop()
    while True:
        line = narrator.line(read_progress(settings.run_dir, settings.placement), loop.time())
        if line is not None:
            log.info(line)
        await asyncio.sleep(POLL_SECONDS)
