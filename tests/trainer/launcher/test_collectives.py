"""Failures of torch's collectives as torch words them: real ranks over gloo lose a peer, wait too long, never meet."""

from collections.abc import Callable

import pytest

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.reasons import Reason
from tests.ports import free_port

from .conftest import REPORTER, Launcher

pytestmark = pytest.mark.slow

Start = Callable[..., Launcher]

RANK = (
    REPORTER
    + """
import datetime
import torch
import torch.distributed as dist
from peft_fsdp_api.reasons import exit_code
from peft_fsdp_trainer.failure import describe, write_failure
def run(body, stage, seconds):
    try:
        dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=seconds))
        body()
    except BaseException as error:
        failure = describe(error, rank, stage, 5)
        write_failure(run_dir, failure)
        os._exit(exit_code(failure.reason))
    os._exit(0)
def loop(last=lambda step: None):
    for step in range(1000):
        dist.all_reduce(torch.ones(1000))
        last(step)
"""
)


def run(start: Start, program: str, *, peers: float) -> Outcome:
    """The outcome of two ranks that meet over gloo and run this program."""
    return start(RANK + program, placement={"master_port": free_port()}, peers=peers).finish(120)


def test_a_killed_peer_is_the_cause_and_not_the_lost_connection(start: Start) -> None:
    die = "lambda step: step == 20 and rank == 1 and os.kill(os.getpid(), signal.SIGKILL)"
    outcome = run(start, f"run(lambda: loop({die}), Stage.TRAIN, 60)", peers=20)
    assert (outcome.reason, outcome.rank) == (Reason.APPLICATION_ERROR, 1)


def test_a_peer_that_leaves_is_lost(start: Start) -> None:
    leave = "lambda step: step == 20 and rank == 1 and os._exit(0)"
    outcome = run(start, f"run(lambda: loop({leave}), Stage.TRAIN, 60)", peers=20)
    assert (outcome.reason, outcome.rank, outcome.step) == (Reason.LOST_PEER, 0, 5)


def test_a_peer_that_hangs_is_a_timeout(start: Start) -> None:
    hang = "lambda step: step == 20 and rank == 1 and time.sleep(600)"
    outcome = run(start, f"run(lambda: loop({hang}), Stage.TRAIN, 5)", peers=0.5)
    assert (outcome.reason, outcome.rank) == (Reason.COLLECTIVE_TIMEOUT, 0)


def test_ranks_that_never_meet(start: Start) -> None:
    outcome = run(start, "if rank == 0: run(loop, Stage.RENDEZVOUS, 3)\ntime.sleep(600)", peers=0.5)
    assert (outcome.reason, outcome.rank) == (Reason.RENDEZVOUS_FAILED, 0)
