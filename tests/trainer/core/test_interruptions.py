"""A real launcher with two real ranks that are killed, asked to stop, or run out of disk or memory, and go on."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from peft_fsdp_api.reasons import REASONS, Reason
from peft_fsdp_trainer.failure import HOST_MEMORY_HINT
from tests.bench.attempts import RANKS, Attempt, Job
from tests.bench.kills import STEPS, kill_repeatedly
from tests.bench.tiny_job import make_tiny_job, make_tiny_jobs
from tests.trainer.core.conftest import Run
from tests.trainer.core.provoked import provoked, take_time_from_step_5_on
from tests.trainer.launcher.conftest import wait_until
from tests.trainer.small_disk import fill, small_disk

pytestmark = pytest.mark.slow

ROOM = 100 * 2**20
"""Bytes of address space left to a rank: enough for small buffers, not for the activations of a large batch."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    with small_disk(tmp_path / "disk", "4m") as folder:
        yield folder


def _rank_pids(attempt: Attempt) -> list[int]:
    pids = [attempt.pid(f"rank {rank}") for rank in range(RANKS)]
    return [pid for pid in pids if pid is not None]


def test_an_attempt_that_lives_on_behind_a_partition_stops_and_touches_nothing(
    inputs: Path, tmp_path: Path, run: Run
) -> None:
    """Its ranks stand still while the operator gives up its node and starts the next attempt on the same volume."""
    job = make_tiny_job(tmp_path / "job", inputs)
    old = run(job)
    old.wait_for("step-00000002 is complete")
    for pid in _rank_pids(old):
        os.kill(pid, signal.SIGSTOP)
    new = run(job)
    new.wait_for("step-00000030 is complete")
    for pid in _rank_pids(old):
        os.kill(pid, signal.SIGCONT)
    ended = old.finish()
    assert (ended.reason, old.process.returncode) == (Reason.SUPERSEDED, 78), old.output
    assert "attempt 2 of this job" in ended.message
    assert new.finish().reason is Reason.SUCCEEDED
    marked = {step: json.loads((job.checkpoints / f"step-{step:08d}" / "committed.json").read_text())
              for step in job.committed()}  # fmt: skip
    assert {step: facts["attempt"] for step, facts in marked.items()} == {26: 2, 28: 2, 30: 2}
    assert (job.folder / "tiny" / "adapter").exists()


def test_kills_lose_nothing(inputs: Path, tmp_path: Path) -> None:
    _, load_adapter = make_tiny_jobs(inputs)
    tally = kill_repeatedly(6, 1, tmp_path, lambda place: make_tiny_job(place, inputs), load_adapter)
    assert tally.kills.total() == 6


def test_a_full_disk_is_named_and_nothing_committed_is_lost(inputs: Path, disk: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs, checkpoint={"every": {"steps": 5}})
    _write_to(job, disk)
    attempt = run(job)
    attempt.wait_for("step-00000005 is complete")
    ballast = disk / "ballast"
    fill(ballast)
    outcome = attempt.finish()
    assert (outcome.reason, outcome.hint) == (Reason.DISK_FULL, REASONS[Reason.DISK_FULL].hint)
    assert f"{disk}" in outcome.message
    committed = job.committed()[-1]
    ballast.unlink()
    again = run(job)
    assert again.finish().reason is Reason.SUCCEEDED
    assert f"step-{committed:08d}, saved on 2 ranks" in again.output
    assert job.committed()[-1] == STEPS


def _write_to(job: Job, volume: Path) -> None:
    config = json.loads(job.config.read_text())
    config["paths"] |= {"output": str(volume / "tiny"), "volume": str(volume)}
    job.config.write_text(json.dumps(config))
    job.checkpoints = volume / "tiny" / "checkpoints"


def test_a_full_cache_is_named(inputs: Path, disk: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs)
    config = json.loads(job.config.read_text())
    config["paths"]["cache"] = str(disk / "cache")
    job.config.write_text(json.dumps(config))
    (disk / "cache").mkdir()
    fill(disk / "ballast")
    outcome = run(job).finish()
    assert outcome.reason is Reason.DISK_FULL
    assert "no room for the tokenized data" in outcome.message


def test_a_stop_while_training_loses_no_step(inputs: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs, checkpoint={"every": {"steps": 1000}})
    attempt = run(job, environment=provoked(take_time_from_step_5_on))
    attempt.wait_for("step 4/30")
    attempt.process.send_signal(signal.SIGTERM)
    outcome = attempt.finish()
    done = max(note["step"] for note in attempt.steps(0))
    assert (outcome.reason, outcome.step, job.committed()) == (Reason.PREEMPTED, done, [done])
    again = run(job)
    assert again.finish().reason is Reason.SUCCEEDED
    assert again.steps(0)[0]["step"] == done + 1


def test_a_stop_during_an_evaluation_does_not_wait_for_its_end(inputs: Path, tmp_path: Path, run: Run) -> None:
    rows = (inputs / "data" / "test.jsonl").read_text()
    (inputs / "data" / "validation.jsonl").write_text(rows * 200)
    evaluation = {"every": {"steps": 2}, "batchSize": 1}
    job = make_tiny_job(tmp_path / "job", inputs, evaluation=evaluation, dataset={"evalSplit": "validation"})
    attempt = run(job)
    wait_until(lambda: '"stage":"evaluate"' in _report(attempt) or attempt.process.poll() is not None, "evaluation", 90)
    attempt.process.send_signal(signal.SIGTERM)
    outcome = attempt.finish()
    assert (outcome.reason, outcome.step) == (Reason.PREEMPTED, 2)
    assert "evaluation loss" not in attempt.output


def _report(attempt: Attempt) -> str:
    report = attempt.folder / "rank-0.json"
    return report.read_text() if report.exists() else ""


STREAMED = {"streaming": True, "packing": False}


def test_a_broken_row_that_is_met_while_training_is_named(inputs: Path, tmp_path: Path, run: Run) -> None:
    """It stands in the second block, which is rank 1's."""
    rows = _much_data(tmp_path, inputs, 30)
    file = Path(rows) / "train.jsonl"
    lines = file.read_text().splitlines()
    lines[1100] = '{"text": null}'
    file.write_text("\n".join(lines))
    job = make_tiny_job(tmp_path / "job", inputs, dataset={"source": rows, **STREAMED})
    outcome = run(job).finish()
    assert (outcome.reason, outcome.rank) == (Reason.DATASET_INVALID, 1)
    assert outcome.message == f"{file} line 1101: column text must be text, it is missing"
    assert outcome.hint == "Correct the row or leave it out."


def test_a_model_that_is_not_there_is_named(inputs: Path, tmp_path: Path, run: Run) -> None:
    outcome = run(make_tiny_job(tmp_path / "job", inputs, model={"source": "/nowhere/model"})).finish()
    assert (outcome.reason, outcome.message) == (
        Reason.MODEL_NOT_AVAILABLE, "model.source /nowhere/model does not exist"
    )  # fmt: skip
    assert "mount the claim" in outcome.hint


def test_an_error_that_nobody_foresaw_comes_with_the_last_lines_of_its_traceback(
    inputs: Path, tmp_path: Path, run: Run
) -> None:
    job = make_tiny_job(tmp_path / "job", inputs)
    (tmp_path / "file").touch()
    _write_to(job, tmp_path / "file")
    outcome = run(job).finish()
    assert (outcome.reason, outcome.rank) == (Reason.APPLICATION_ERROR, 0), "its peer only lost it"
    assert outcome.message.startswith("NotADirectoryError")
    assert "in claim" in outcome.traceback
    assert outcome.traceback.splitlines()[-1].startswith("NotADirectoryError")
    assert outcome.hint == REASONS[Reason.APPLICATION_ERROR].hint


def test_a_loss_that_explodes_names_its_step(inputs: Path, tmp_path: Path, run: Run) -> None:
    """No step of it updates anything, and yet each second one is saved."""
    reckless = {"learningRate": 10, "maxGradNorm": 0, "precision": "float16", "scheduler": "constant"}
    job = make_tiny_job(tmp_path / "job", inputs, training=reckless, lora={"alpha": 4096})
    outcome = run(job).finish()
    assert outcome.reason is Reason.LOSS_NOT_FINITE
    assert outcome.step is not None
    assert outcome.hint == REASONS[Reason.LOSS_NOT_FINITE].hint


def test_kills_lose_nothing_of_a_stream(inputs: Path, tmp_path: Path) -> None:
    """The documents of every step are those of the run that nobody killed."""
    _, load_adapter = make_tiny_jobs(inputs)
    rows = _much_data(tmp_path, inputs, 60)
    data = {"source": rows, **STREAMED, "packing": True}
    (tmp_path / "runs").mkdir()
    tally = kill_repeatedly(
        3, 2, tmp_path / "runs", lambda place: make_tiny_job(place, inputs, dataset=data), load_adapter
    )
    assert tally.kills.total() == 3


def _much_data(folder: Path, inputs: Path, times: int) -> str:
    (folder / "data").mkdir()
    (folder / "data" / "train.jsonl").write_text((inputs / "data" / "train.jsonl").read_text() * times)
    return str(folder / "data")


def test_a_stop_before_the_training_ends_at_once(inputs: Path, tmp_path: Path, run: Run) -> None:
    job = make_tiny_job(tmp_path / "job", inputs, dataset={"source": _much_data(tmp_path, inputs, 2000)})
    attempt = run(job)
    wait_until(lambda: '"stage":"tokenize"' in _report(attempt) or attempt.process.poll() is not None, "tokenizing", 90)
    attempt.process.send_signal(signal.SIGTERM)
    outcome = attempt.finish()
    assert outcome.reason is Reason.PREEMPTED
    assert "during stage tokenize; nothing had to be saved" in outcome.message


def test_host_memory_that_cannot_be_had(inputs: Path, tmp_path: Path, run: Run) -> None:
    data = {"source": _much_data(tmp_path, inputs, 100), "maxLength": 2048}
    job = make_tiny_job(tmp_path / "job", inputs, training={"batchSize": 64}, dataset=data)
    attempt = run(job)
    wait_until(lambda: attempt.pid("rank 1") is not None, "rank 1", 60)
    pid = attempt.pid("rank 1")
    assert pid is not None
    attempt.wait_for("parameters trained")
    in_use = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (in_use + ROOM, resource.RLIM_INFINITY))
    outcome = attempt.finish()
    assert (outcome.reason, outcome.rank, outcome.hint) == (Reason.OUT_OF_MEMORY, 1, HOST_MEMORY_HINT)
