"""The report file of a rank: when it is written, what is in it, and that a reader never sees half of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from peft_fsdp_api.progress import Stage, TrainingProgress
from peft_fsdp_api.status import AdapterStatus
from peft_fsdp_trainer.report import RankReport, Reporter, report_path


class Clock:
    """Unix time that moves by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reporter(tmp_path: Path, clock: Clock) -> Reporter:
    return Reporter(3, tmp_path, clock)


def read(folder: Path) -> RankReport:
    """The report of rank 3 as the launcher reads it."""
    return RankReport.model_validate_json(report_path(folder, 3).read_bytes())


def step(reporter: Reporter, number: int) -> None:
    reporter.training(TrainingProgress(step=number, total_steps=1000))


def test_a_new_stage_is_written_at_once(reporter: Reporter, tmp_path: Path) -> None:
    reporter.stage(Stage.LOAD, total=80)
    reporter.stage(Stage.TRAIN)
    progress = read(tmp_path).progress
    assert (progress.rank, progress.stage, progress.total) == (3, Stage.TRAIN, None)


def test_ten_steps_a_second_write_two_files_a_second(reporter: Reporter, clock: Clock, tmp_path: Path) -> None:
    written = []
    for number in range(100):
        clock.now += 0.1
        step(reporter, number)
        training = read(tmp_path).training
        assert training is not None
        written.append(training.step)
    assert 15 <= len(set(written)) <= 21
    assert all(number - reported <= 5 for number, reported in enumerate(written))


def test_heartbeat_is_the_time_of_the_last_sign_of_life(reporter: Reporter, clock: Clock, tmp_path: Path) -> None:
    reporter.stage(Stage.TOKENIZE, total=10)
    assert read(tmp_path).progress.heartbeat == "2001-09-09T01:46:40Z"
    clock.now += 60
    reporter.advance(4)
    assert read(tmp_path).progress.heartbeat == "2001-09-09T01:47:40Z"
    assert read(tmp_path).progress.done == 4


def test_memory_is_no_sign_of_life(reporter: Reporter, clock: Clock, tmp_path: Path) -> None:
    reporter.stage(Stage.TRAIN)
    clock.now += 60
    reporter.memory(now=1, peak=2)
    assert read(tmp_path).progress.heartbeat == "2001-09-09T01:46:40Z"
    reporter.heartbeat()
    assert read(tmp_path).progress.memory_peak_bytes == 2


def test_the_adapter_is_written_at_once_and_stays(reporter: Reporter, tmp_path: Path) -> None:
    reporter.adapter(AdapterStatus(path="job/adapter", size_bytes=5, sha256="0"))
    reporter.stage(Stage.DONE)
    assert read(tmp_path).adapter == AdapterStatus(path="job/adapter", size_bytes=5, sha256="0")


def test_nothing_but_whole_files_remains(reporter: Reporter, tmp_path: Path) -> None:
    for number in range(10):
        reporter.stage(Stage.TRAIN, total=number)
    assert [path.name for path in tmp_path.iterdir()] == ["rank-3.json"]


def test_a_stage_inside_another_gives_it_back_as_it_was(tmp_path: Path) -> None:
    reporter = Reporter(0, tmp_path)
    reporter.stage(Stage.TRAIN, 10)
    reporter.advance(4)
    with reporter.within(Stage.SAVE):
        assert reporter.current_stage is Stage.SAVE
    written = RankReport.model_validate_json((tmp_path / "rank-0.json").read_text()).progress
    assert (written.stage, written.done, written.total) == (Stage.TRAIN, 4, 10)


def test_threads_report_at_the_same_time(tmp_path: Path) -> None:
    reporter = Reporter(0, tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: reporter.flush(), range(2000)))
    assert [path.name for path in tmp_path.iterdir()] == ["rank-0.json"]
