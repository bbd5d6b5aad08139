"""The output of ranks goes to the log; where the log cannot be written, it is the log that suffers."""

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from peft_fsdp_api.progress import Progress
from peft_fsdp_api.reasons import Reason
from peft_fsdp_trainer.launcher.output import TELLING_SECONDS, RankOutput

from .conftest import REPORTER, Launcher

Start = Callable[..., Launcher]

TALK = """
for number in range(200):
    print("a line of", rank, number, "x" * 1000, flush=True)
Path(run_dir, f"pid-{rank}").write_text(str(os.getpid()))
"""
MORE_THAN_A_PIPE_HOLDS = "print('x' * 2**20, flush=True)\n"


def test_the_lines_of_a_rank_stay_whole_and_none_is_lost(start: Start) -> None:
    launcher = start(TALK)
    launcher.finish()
    lines = [line for line in launcher.output.splitlines() if "a line of" in line]
    for rank, mark in ((0, ""), (1, "[rank 1] ")):
        wanted = [f"{mark}a line of {rank} {number} {'x' * 1000}" for number in range(200)]
        assert [line for line in lines if f"a line of {rank} " in line] == wanted


ABORT = """
if rank == 1:
    print("[rank1]:[E] Watchdog caught collective operation timeout: ran for 600000 ms", file=sys.stderr)
    print("[rank1]:[E] and one more about a Broken pipe", file=sys.stderr)
    print(*(f'  File "a.py", line {number} in wait' for number in range(100)), sep="\\n", file=sys.stderr, flush=True)
    os.abort()
time.sleep(600)
"""


def test_the_cause_is_found_before_the_stacks_of_all_threads(start: Start) -> None:
    outcome = start(ABORT, grace=0.5).finish()
    assert (outcome.reason, outcome.rank) == (Reason.COLLECTIVE_TIMEOUT, 1)
    assert "SIGABRT): [rank1]:[E] Watchdog caught collective operation timeout: ran for 600000 ms" in outcome.message
    assert "Watchdog" not in outcome.traceback, "it is beyond the last lines"


@pytest.mark.parametrize(("seconds", "remembered"), [(TELLING_SECONDS, True), (TELLING_SECONDS + 1, False)])
async def test_trouble_that_a_rank_got_over_is_not_the_cause_of_its_end(seconds: float, remembered: bool) -> None:
    now = 1000.0
    process = subprocess.Popen(["echo", "Connection refused"], stdout=subprocess.PIPE)
    output = RankOutput(0, process, lambda: now)
    await output.drained()
    process.wait()
    now += seconds
    assert output.tail == "Connection refused"
    assert output.telling == ("Connection refused" if remembered else "")


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("sink", [closed_pipe, full_disk])
def test_a_log_that_cannot_be_written_ends_no_rank(start: Start, sink: Callable[[], int]) -> None:
    stdout = sink()
    launcher = start(TALK + "if rank == 1: raise ValueError('boom')", peers=20, stdout=stdout)
    os.close(stdout)
    outcome = launcher.finish()
    assert (outcome.reason, outcome.rank) == (Reason.APPLICATION_ERROR, 1)
    assert "ValueError: boom" in outcome.traceback, "the last lines are kept all the same"
    assert launcher.process.returncode == 1


def test_a_log_that_nobody_reads_silences_nothing(start: Start) -> None:
    reader, writer = os.pipe()
    ready = f"{REPORTER}reporter.stage(Stage.TRAIN)\nPath(run_dir, f'pid-{{rank}}').write_text(str(os.getpid()))\n"
    launcher = start(ready + MORE_THAN_A_PIPE_HOLDS, grace=0.5, stdout=writer)
    os.close(writer)
    launcher.rank_pid(0), launcher.rank_pid(1)
    assert len(Progress.model_validate_json(launcher.get("/progress")).ranks) == 2
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.finish(30).reason is Reason.PREEMPTED
    os.close(reader)
