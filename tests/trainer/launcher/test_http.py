"""What the launcher answers over HTTP while its ranks run, hang or are stopped."""

import json
import os
import signal
import socket
import urllib.error
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from peft_fsdp_api.progress import Progress, RankProgress, Stage, TrainingProgress
from peft_fsdp_trainer.launcher.metrics import render_metrics

from .conftest import REPORTER, Launcher

Start = Callable[..., Launcher]

TRAINING = (
    REPORTER
    + """
from peft_fsdp_api.progress import Execution
from peft_fsdp_api.status import CheckpointStatus
reporter.stage(Stage.TRAIN, total=10)
if rank == 0:
    reporter.checkpoint(CheckpointStatus(step=2, path="job/checkpoints/2", time="2026-11-22T18:00:00Z"))
    reporter.execution(Execution(attention="sdpa runs", kernels="eager", precision="bfloat16", sharding="full"))
    reporter.memory(now=1000, peak=2000)
    reporter.training(TrainingProgress(step=3, total_steps=10, loss=float("nan"), tokens_per_second=42.5))
    reporter.flush()
Path(run_dir, f"pid-{rank}").write_text(str(os.getpid()))
while True: time.sleep(0.1)
"""
)


def test_progress_of_all_ranks_while_one_is_stopped(start: Start) -> None:
    launcher = start(TRAINING, grace=0.1)
    os.kill(launcher.rank_pid(0), signal.SIGSTOP)
    os.kill(launcher.rank_pid(1), signal.SIGSTOP)
    progress = Progress.model_validate_json(launcher.get("/progress"))
    assert (progress.attempt, progress.node_rank) == (3, 0)
    assert [(rank.rank, rank.stage) for rank in progress.ranks] == [(0, Stage.TRAIN), (1, Stage.TRAIN)]
    assert progress.training is not None
    assert progress.training.step == 3
    assert progress.checkpoint is not None
    assert progress.execution is not None
    assert progress.execution.attention == "sdpa runs"


def test_a_loss_that_is_not_a_number_leaves_valid_json(start: Start) -> None:
    launcher = start(TRAINING, grace=0.1, ranks=1)
    launcher.rank_pid(0)
    assert "loss" not in json.loads(launcher.get("/progress"))["training"]


def test_metrics(start: Start) -> None:
    launcher = start(TRAINING, grace=0.1)
    launcher.rank_pid(0), launcher.rank_pid(1)
    lines = launcher.get("/metrics").splitlines()
    assert "peft_fsdp_trainer_step 3.0" in lines
    assert "peft_fsdp_trainer_tokens_per_second 42.5" in lines
    assert 'peft_fsdp_trainer_memory_peak_bytes{rank="0"} 2000.0' in lines
    assert 'peft_fsdp_trainer_stage{rank="1",stage="train"} 1.0' in lines
    ages = [float(line.split()[1]) for line in lines if line.startswith("peft_fsdp_trainer_heartbeat_age_seconds{")]
    assert len(ages) == 2
    assert all(age >= 0 for age in ages)


def test_a_rank_that_hangs_is_seen_by_the_age_of_its_heartbeat() -> None:
    def rank(number: int, heartbeat: str) -> RankProgress:
        return RankProgress(rank=number, stage=Stage.TRAIN, heartbeat=heartbeat)

    ranks = [rank(4, "2026-11-22T18:00:00Z"), rank(5, "2026-11-22T17:58:30Z")]
    now = datetime(2026, 11, 22, 18, 0, 1, tzinfo=UTC).timestamp()
    lines = render_metrics(Progress(attempt=1, node_rank=1, ranks=ranks), now).decode().splitlines()
    assert 'peft_fsdp_trainer_heartbeat_age_seconds{rank="4"} 1.0' in lines
    assert 'peft_fsdp_trainer_heartbeat_age_seconds{rank="5"} 91.0' in lines


def test_every_figure_of_the_training_is_a_metric() -> None:
    figures = {name: place for place, name in enumerate(TrainingProgress.model_fields, start=2)}
    progress = Progress(attempt=1, node_rank=0, training=TrainingProgress.model_validate(figures))
    lines = render_metrics(progress, 0.0).decode().splitlines()
    assert [name for name, value in figures.items() if f"peft_fsdp_trainer_{name} {value}.0" not in lines] == []


def test_health_is_answered_before_any_rank_reports(start: Start) -> None:
    launcher = start("Path(run_dir, f'pid-{rank}').write_text('0')\ntime.sleep(60)", grace=0.1)
    launcher.wait_for("pid-0")
    assert launcher.get("/healthz") == "ok\n"
    assert Progress.model_validate_json(launcher.get("/progress")).ranks == []


def test_what_is_not_there_is_refused(start: Start) -> None:
    launcher = start(TRAINING, grace=0.1, ranks=1)
    launcher.rank_pid(0)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        launcher.get("/secrets")
    with socket.create_connection(("127.0.0.1", launcher.port)) as client:
        client.sendall(b"DELETE /progress HTTP/1.1\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 405 ")


def test_a_silent_or_babbling_client_disturbs_nobody(start: Start) -> None:
    launcher = start(TRAINING, grace=0.1, ranks=1)
    launcher.rank_pid(0)
    with socket.create_connection(("127.0.0.1", launcher.port)) as babbling:
        babbling.sendall(b"\x00" * 100_000)
        with socket.create_connection(("127.0.0.1", launcher.port)):
            assert launcher.get("/healthz") == "ok\n"
