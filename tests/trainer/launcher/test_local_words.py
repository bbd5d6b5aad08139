"""What `peft-fsdp run` says while it runs and at its end."""

from pathlib import Path

import pytest

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.progress import Progress, RankProgress, Stage, TrainingProgress
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import CheckpointStatus
from peft_fsdp_trainer.local_words import Narrator, describe_end

from .conftest import make_config


def progress(*stages: Stage, done: int = 0, total: int | None = None, step: int = 0) -> Progress:
    """Progress of as many ranks as stages."""
    ranks = [
        RankProgress(rank=index, stage=stage, done=done, total=total, heartbeat="2026-11-22T18:00:00Z")
        for index, stage in enumerate(stages)
    ]
    training = TrainingProgress(step=step, total_steps=9, loss=1.2345678, tokens_per_second=99.6, remaining_seconds=61)
    return Progress(attempt=1, node_rank=0, ranks=ranks, training=training)


def test_nothing_is_said_before_a_rank_reports() -> None:
    assert Narrator().line(progress(), 0) is None


def test_the_slowest_rank_speaks() -> None:
    assert Narrator().line(progress(Stage.TRAIN, Stage.LOAD, done=3, total=80), 0) == "load 3/80"


def test_a_line_of_training() -> None:
    assert Narrator().line(progress(Stage.TRAIN, step=4), 0) == "train 4/9, loss 1.235, 100 tokens/s, 1m1s left"


def test_a_new_stage_is_said_at_once_and_the_rest_now_and_then() -> None:
    narrator = Narrator()
    said = [
        narrator.line(progress(Stage.LOAD, done=1, total=9), 0),
        narrator.line(progress(Stage.LOAD, done=2, total=9), 1),
        narrator.line(progress(Stage.LOAD, done=5, total=9), 11),
        narrator.line(progress(Stage.SAVE), 12),
        narrator.line(progress(Stage.SAVE), 600),
    ]
    assert said == ["load 1/9", None, "load 5/9", "save", None]


def test_the_end_of_a_success_is_python_that_loads_the_adapter(tmp_path: Path) -> None:
    text = describe_end(Outcome(reason=Reason.SUCCEEDED), make_config(tmp_path))
    snippet = "\n".join(line.strip() for line in text.splitlines() if line.startswith("    "))
    assert f"{tmp_path}/out/adapter" in snippet
    assert len(snippet.splitlines()) == 3
    compile(snippet, "snippet", "exec")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(reason=Reason.PREEMPTED, message="saved"), ["Stopped: saved", "the same command again"]),
        (Outcome(reason=Reason.DATASET_INVALID, message="row 5", hint="look"), ["DatasetInvalid: row 5", "look"]),
        (
            Outcome(
                reason=Reason.DISK_FULL,
                message="m",
                checkpoint=CheckpointStatus(step=7, path="p", time="2026-01-01T0Z"),
            ),
            ["Newest checkpoint: step 7"],
        ),
    ],
    ids=["stopped", "data", "checkpoint"],
)
def test_other_ends(tmp_path: Path, outcome: Outcome, words: list[str]) -> None:
    text = describe_end(outcome, make_config(tmp_path))
    assert all(word in text for word in words)
