"""`kill -9` at random moments: of a rank or of the launcher, at start, while training, saving and resuming.

A real launcher with two real ranks trains a tiny model with packing; after each kill it is started again. What must
hold is in `_Verifier`; the same code runs with few kills as a slow test.
"""

import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from peft_fsdp_api.reasons import Reason
from tests.bench.attempts import RANKS, Attempt, Job
from tests.bench.rank_forks import fork_server
from tests.bench.report import Figure

KILLS = 50
SEED = 4
STEPS = 30
EVERY = 2
KEEP = 3
TOLERANCE = 5e-6
"""Equal to five decimals."""
WHEN = ("at any time", "while saving", "after resuming")
WHOM = ("rank 0", "rank 1", "the launcher")


@dataclass
class Tally:
    """What a series of kills came to."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    runs: int = 0
    resumed: int = 0
    half_written: int = 0
    largest_difference: float = 0.0


class _Verifier:
    """What must hold after every attempt, against the run that nobody interrupted."""

    def __init__(self, whole: Attempt, load_adapter: Callable[[Path], None]) -> None:
        self._samples = {(rank, note["step"]): note["samples"] for rank in range(RANKS)
                         for note in whole.steps(rank) if "samples" in note}  # fmt: skip
        self._losses = {note["step"]: note["loss"] for note in whole.steps(0) if "loss" in note}
        assert sorted(self._losses) == list(range(1, STEPS + 1)), "the uninterrupted run is not whole"
        self._load_adapter = load_adapter

    def check(self, job: Job, attempt: Attempt, before: list[int], tally: Tally) -> None:
        after, start = job.committed(), before[-1] if before else 0
        said = f"{attempt.folder} ({attempt.killed or 'not killed'}):\n{attempt.output[-3000:]}"
        assert not before or after[-1:] >= before[-1:], f"a committed checkpoint is lost, {before} -> {after}: {said}"
        assert len(after) >= len(before) - 1, f"more is removed than one at a time, {before} -> {after}: {said}"
        if attempt.steps(0) and before:
            assert f"step-{start:08d}, saved on" in attempt.output, f"not resumed from step {start}: {said}"
            tally.resumed += 1
        for rank in range(RANKS):
            self._check_steps(attempt, rank, start, tally)
        for step in set(after) - set(before):
            self._load_adapter(job.checkpoints / f"step-{step:08d}" / "adapter")
        _check_outcome(attempt, _is_whole(job), said)

    def _check_steps(self, attempt: Attempt, rank: int, start: int, tally: Tally) -> None:
        notes = attempt.steps(rank)
        trained = [note for note in notes if "samples" in note]
        numbers = [note["step"] for note in trained]
        assert numbers == list(range(start + 1, start + 1 + len(numbers))), f"{attempt.folder}: steps {numbers}"
        for note in trained:
            assert note["samples"] == self._samples[rank, note["step"]], f"{attempt.folder}: other samples, {note}"
        for note in notes:
            if "loss" in note:
                difference = abs(note["loss"] - self._losses[note["step"]])
                tally.largest_difference = max(tally.largest_difference, difference)
                assert difference <= TOLERANCE, f"{attempt.folder}: {note}, not {self._losses[note['step']]}"


def _is_whole(job: Job) -> bool:
    """Whether nothing is left to do: the last checkpoint and the adapter are there."""
    return job.committed()[-1:] == [STEPS] and (job.checkpoints.parent / "adapter").exists()


def _check_outcome(attempt: Attempt, whole: bool, said: str) -> None:
    outcome = attempt.outcome
    if attempt.killed and whole and outcome is not None and outcome.reason is Reason.SUCCEEDED:
        return  # it had done everything when the signal came
    if attempt.killed == "the launcher":
        assert outcome is None, said
        return
    assert outcome is not None, said
    if not attempt.killed:
        assert outcome.reason is Reason.SUCCEEDED, f"{outcome}: {said}"
    else:
        assert f"rank {outcome.rank}" == attempt.killed, f"{outcome}: {said}"
        assert "signal 9" in outcome.message, f"{outcome}: {said}"


def kill_repeatedly(
    kills: int, seed: int, folder: Path, make_job: Callable[[Path], Job], load_adapter: Callable[[Path], None]
) -> Tally:
    """Run jobs to their end with `kills` kills in all, while a fork server listens.

    Raises AssertionError at the first thing that must not be.
    """
    chance, tally = random.Random(seed), Tally()
    whole_job = make_job(folder / "whole")
    whole = whole_job.start()
    whole.process.wait(300)
    verifier, duration = _Verifier(whole, load_adapter), time.monotonic() - whole.started
    verifier.check(whole_job, whole, [], Tally())
    while tally.kills.total() < kills:
        tally.runs += 1
        _run_job(make_job(folder / f"job-{tally.runs}"), chance, duration, verifier, tally, kills)
    return tally


def _run_job(job: Job, chance: random.Random, duration: float, verifier: _Verifier, tally: Tally, kills: int) -> None:
    """One job, killed again and again, to its end."""
    finished = False
    while not finished:
        before = job.committed()
        attempt = job.start()
        try:
            if tally.kills.total() < kills:
                _kill(job, attempt, chance, duration, tally)
            attempt.process.wait(300)
        finally:
            _end(attempt)
        tally.half_written += len(job.uncommitted())
        verifier.check(job, attempt, before, tally)
        finished = not attempt.killed
    assert job.committed()[-1] == STEPS


def _kill(job: Job, attempt: Attempt, chance: random.Random, duration: float, tally: Tally) -> None:
    when, whom = chance.choice(WHEN), chance.choice(WHOM)
    left_over = job.uncommitted()
    conditions: dict[str, Callable[[], bool]] = {
        "at any time": lambda: True,
        "while saving": lambda: bool(set(job.uncommitted()) - set(left_over)),
        "after resuming": lambda: "resumed from" in attempt.output,
    }
    delay = chance.uniform(0, duration if when == "at any time" else 0.05)
    while not conditions[when]() and attempt.process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    while (pid := attempt.pid(whom)) is None and attempt.process.poll() is None:
        time.sleep(0.002)
    if pid is None or attempt.process.poll() is not None or not _is_alive(pid):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        attempt.killed = whom
        tally.kills[when, whom] += 1


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter where it is reaped between opening and reading
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _end(attempt: Attempt) -> None:
    """Wait until no process of the attempt is left; kill what is, so that two attempts never run at once."""
    deadline = time.monotonic() + 20
    for whom in WHOM:
        pid = attempt.pid(whom)
        while pid is not None and _is_alive(pid):
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
    attempt.process.wait(20)


def measure(kills: int = KILLS, seed: int = SEED) -> list[Figure]:
    """Kill a training again and again; the figures of what was to be proved."""
    from tests.bench.tiny_job import make_tiny_jobs

    with tempfile.TemporaryDirectory() as scratch, fork_server(Path(scratch) / "forks.socket"):
        make_job, load_adapter = make_tiny_jobs(Path(scratch))
        tally = kill_repeatedly(kills, seed, Path(scratch), make_job, load_adapter)
    for (when, whom), count in sorted(tally.kills.items()):
        print(f"killed {whom} {when}: {count}")
    name = f"{tally.kills.total()} kills in {tally.runs} runs of {STEPS} steps, {RANKS} ranks"
    return [
        Figure(f"{name}: committed checkpoints lost", 0, "", 0),
        Figure(f"{name}: largest difference of a step's loss", tally.largest_difference, "", TOLERANCE),
        Figure("attempts that resumed from the newest committed checkpoint", tally.resumed, "", None),
        Figure("half-written checkpoints that were left behind", tally.half_written, "", None),
    ]
