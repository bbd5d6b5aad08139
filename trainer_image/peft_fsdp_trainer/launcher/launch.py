"""The life of one launcher, from the first signal handler to the outcome. Called by `cli` and `local`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import REASONS, Reason

from ..config_file import read_config
from ..errors import TrainerError
from . import cgroup
from .gang import Gang, StopSignals
from .outcome import compose_outcome, outcome_of_error
from .peers import Peers
from .ranks import RankExit, start_ranks
from .reaper import Reaper
from .rendezvous import wait_for_master
from .run_dir import read_failures, read_reports
from .server import serve
from .settings import LaunchSettings

BEFORE_TRAINING: Final = frozenset((Stage.START, Stage.RENDEZVOUS, Stage.DOWNLOAD, Stage.TOKENIZE, Stage.LOAD))


async def launch(settings: LaunchSettings) -> Outcome:
    """Run the ranks of this node to their end."""
    try:
        read_config(settings.config)
        peers = Peers(settings)
        async with _listening() as (signals, reaper), await serve(settings, peers), peers.watched():
            outcome = await _run(settings, signals, reaper, peers)
            await peers.say_goodbye(outcome.reason)
            return outcome
    except TrainerError as error:
        return outcome_of_error(error)


@contextlib.asynccontextmanager
async def _listening() -> AsyncIterator[tuple[StopSignals, Reaper]]:
    signals, reaper = StopSignals(), Reaper()
    signals.listen()
    reaper.listen()
    try:
        yield signals, reaper
    finally:
        reaper.close()
        signals.close()


async def _stopped_while_waiting(settings: LaunchSettings, signals: StopSignals) -> bool:
    """Wait for worker 0; True when SIGTERM came first."""
    waiting = asyncio.create_task(wait_for_master(settings.placement, settings.limits))
    stopping = asyncio.create_task(signals.requested.wait())
    await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if signals.requested.is_set():
        waiting.cancel()
        return True
    waiting.result()
    return False


async def _run(settings: LaunchSettings, signals: StopSignals, reaper: Reaper, peers: Peers) -> Outcome:
    if await _stopped_while_waiting(settings, signals):
        message = "stopped while waiting for worker 0; nothing was trained"
        return Outcome(reason=Reason.PREEMPTED, message=message, hint=REASONS[Reason.PREEMPTED].hint)
    kills_before = cgroup.oom_kills()
    ranks = start_ranks(settings, reaper)
    gang = Gang(ranks, settings.limits, lambda: _has_begun(settings))
    exits: list[RankExit] = await gang.wait(signals, peers)
    kills_after = cgroup.oom_kills()
    outcome = compose_outcome(
        exits,
        read_failures(settings.run_dir, settings.placement.ranks),
        read_reports(settings.run_dir, settings.placement.ranks),
        out_of_memory=kills_after is not None and kills_after > (kills_before or 0),
        stop_requested=signals.requested.is_set(),
    )
    return outcome if signals.requested.is_set() else peers.explain(outcome)


def _has_begun(settings: LaunchSettings) -> bool:
    """Whether a rank of this pod has got to the training."""
    reports = read_reports(settings.run_dir, settings.placement.ranks)
    return any(report.progress.stage not in BEFORE_TRAINING for report in reports.values())
