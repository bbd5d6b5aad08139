"""How ranks end, and what the launcher makes of it; every rank is a real process."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from peft_fsdp_api.names import TERMINATION_MESSAGE_BYTES
from peft_fsdp_api.reasons import Reason, exit_code

from .conftest import REPORTER, Launcher, wait_until

Start = Callable[..., Launcher]

HANG = """
signal.signal(signal.SIGTERM, lambda *_: Path(run_dir, f"terminated-{rank}").touch())
Path(run_dir, f"pid-{rank}").write_text(str(os.getpid()))
while True: time.sleep(0.1)
"""
FAIL = """
from peft_fsdp_trainer.failure import describe, write_failure
from peft_fsdp_trainer.errors import DatasetInvalid, LostPeer
from peft_fsdp_api.progress import Stage
def fail(error):
    failure = describe(error, rank, Stage.TRAIN, None)
    write_failure(run_dir, failure)
    from peft_fsdp_api.reasons import exit_code
    sys.exit(exit_code(failure.reason))
"""


def test_success_carries_the_last_step(start: Start) -> None:
    launcher = start(REPORTER + "reporter.training(TrainingProgress(step=7, total_steps=7)); reporter.flush()")
    outcome = launcher.finish()
    assert (outcome.reason, outcome.step, outcome.rank) == (Reason.SUCCEEDED, 7, None)
    assert launcher.process.returncode == 0


@pytest.mark.parametrize(
    ("program", "reason", "message"),
    [
        ("raise ValueError('boom')", Reason.APPLICATION_ERROR, "exited with code 1"),
        ("os.kill(os.getpid(), signal.SIGKILL)", Reason.APPLICATION_ERROR, "killed by signal 9 (SIGKILL)"),
        ("import ctypes; ctypes.string_at(0)", Reason.APPLICATION_ERROR, "killed by signal 11 (SIGSEGV)"),
        ("sys.exit(72)", Reason.DISK_FULL, "exited with code 72"),
        ("print('Watchdog caught collective operation timeout'); sys.stdout.flush(); os.abort()",
         Reason.COLLECTIVE_TIMEOUT, "killed by signal 6 (SIGABRT): Watchdog caught"),
        (FAIL + "fail(DatasetInvalid('row 5 of x.jsonl has no column text'))", Reason.DATASET_INVALID, "row 5"),
        (FAIL + "fail(RuntimeError('[../gloo/pair.cc] Connection closed by peer [1]'))", Reason.LOST_PEER, "closed"),
        (FAIL + "fail(OSError(28, 'No space left on device', '/output/x'))", Reason.DISK_FULL, "/output/x"),
    ],
    ids=["exception", "sigkill", "segfault", "known-code", "nccl-watchdog", "dataset", "lost-peer", "disk-full"],
)  # fmt: skip
def test_reason_of_a_failed_rank(start: Start, program: str, reason: Reason, message: str) -> None:
    launcher = start(program, ranks=1)
    outcome = launcher.finish()
    assert (outcome.reason, outcome.rank) == (reason, 0)
    assert message in outcome.message
    assert launcher.process.returncode == exit_code(reason)
    assert outcome.hint


def test_last_lines_of_a_rank_that_left_no_word(start: Start) -> None:
    launcher = start("import ctypes\ndef into_the_void(): ctypes.string_at(0)\ninto_the_void()", ranks=1)
    assert "into_the_void" in launcher.finish().traceback


BOTH_FAIL = (
    FAIL
    + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path(run_dir, f"ready-{rank}").touch()
while not Path(run_dir, f"ready-{1 - rank}").exists(): time.sleep(0.01)
"""
)


def test_a_consequence_is_not_the_cause(start: Start) -> None:
    program = BOTH_FAIL + "if rank == 0: fail(LostPeer('gone'))\ntime.sleep(1)\nfail(DatasetInvalid('row 9'))"
    outcome = start(program, peers=20).finish()
    assert (outcome.reason, outcome.rank, outcome.message) == (Reason.DATASET_INVALID, 1, "row 9")


def test_the_earliest_failure_wins(start: Start) -> None:
    program = BOTH_FAIL + "time.sleep(1 - rank)\nfail(DatasetInvalid(f'seen by {rank}'))"
    assert start(program, peers=20).finish().message == "seen by 1"


def test_a_hanging_peer_is_killed_soon(start: Start) -> None:
    fail = "if rank == 1:\n  while not Path(run_dir, 'pid-0').exists(): time.sleep(0.05)\n  sys.exit(1)\n"
    launcher = start(fail + HANG, peers=0.5)
    outcome = launcher.finish(20)
    assert (outcome.reason, outcome.rank) == (Reason.APPLICATION_ERROR, 1)
    assert (launcher.run_dir / "terminated-0").exists()


def test_a_stopped_peer_is_killed_too(start: Start) -> None:
    wait_and_fail = "if rank == 1:\n  while not Path(run_dir, 'go').exists(): time.sleep(0.05)\n  sys.exit(1)\n"
    launcher = start(wait_and_fail + HANG, peers=0.5)
    os.kill(launcher.rank_pid(0), signal.SIGSTOP)
    (launcher.run_dir / "go").touch()
    assert launcher.finish(20).rank == 1


SAVE_AND_STOP = """
from peft_fsdp_trainer.stop import StopRequest
stop = StopRequest(); stop.listen()
Path(run_dir, f"pid-{rank}").touch()
while not stop.requested: time.sleep(0.05)
time.sleep(0.5)
Path(run_dir, f"saved-{rank}").touch()
sys.exit(76)
"""


def test_sigterm_reaches_all_ranks_and_the_launcher_waits_for_the_save(start: Start) -> None:
    launcher = start(SAVE_AND_STOP, grace=30)
    for rank in (0, 1):
        launcher.wait_for(f"pid-{rank}")
    launcher.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    launcher.process.send_signal(signal.SIGTERM)  # changes nothing: only Ctrl-C twice is impatience
    assert launcher.finish().reason is Reason.PREEMPTED
    assert all((launcher.run_dir / f"saved-{rank}").exists() for rank in (0, 1))
    assert launcher.process.returncode == 76


def test_ranks_that_do_not_stop_are_killed_after_the_grace_period(start: Start) -> None:
    launcher = start(f"{REPORTER}reporter.stage(Stage.TRAIN)\n{HANG}", grace=1, peers=300)
    launcher.rank_pid(0), launcher.rank_pid(1)
    time.sleep(0.3)
    launcher.process.send_signal(signal.SIGTERM)
    outcome = launcher.finish(20)
    assert outcome.reason is Reason.PREEMPTED
    assert "were killed" in outcome.message


def test_ranks_that_have_not_begun_to_train_get_no_time_to_save(start: Start) -> None:
    launcher = start(f"{REPORTER}reporter.stage(Stage.RENDEZVOUS)\n{HANG}", grace=300, peers=0.5)
    launcher.rank_pid(0), launcher.rank_pid(1)
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.finish(20).reason is Reason.PREEMPTED


def test_a_second_interrupt_kills_at_once(start: Start) -> None:
    launcher = start(HANG, grace=300)
    launcher.rank_pid(0), launcher.rank_pid(1)
    launcher.process.send_signal(signal.SIGINT)
    launcher.wait_for("terminated-0")
    launcher.process.send_signal(signal.SIGINT)
    assert launcher.finish(20).reason is Reason.PREEMPTED


def test_orphans_are_reaped_while_the_ranks_run(start: Start) -> None:
    orphan = "import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 0.1 & echo $! > %s/orphan' % run_dir])\n"
    launcher = start(orphan + HANG, ranks=1, grace=0.1)
    launcher.rank_pid(0)
    wait_until(lambda: bool((launcher.run_dir / "orphan").exists() and (launcher.run_dir / "orphan").read_text()),
               "the orphan")  # fmt: skip
    pid = int((launcher.run_dir / "orphan").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the orphan")


def test_children_of_a_dead_rank_are_killed(start: Start) -> None:
    launcher = start(
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('child', child.pid)", ranks=1
    )
    assert launcher.finish(20).reason is Reason.SUCCEEDED
    pid = int(launcher.output.split("child ")[1].split()[0])
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the child")


def test_output_of_ranks_is_marked_but_for_rank_0(start: Start) -> None:
    launcher = start("print('hello from', rank)")
    launcher.finish()
    lines = launcher.output.splitlines()
    assert "hello from 0" in lines
    assert "[rank 1] hello from 1" in lines


def test_the_outcome_fits_into_a_termination_message(start: Start) -> None:
    launcher = start("raise ValueError('\\u00e9\"' * 20000)", ranks=1)
    launcher.finish()
    assert len(launcher.message.read_bytes()) <= TERMINATION_MESSAGE_BYTES
