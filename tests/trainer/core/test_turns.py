"""A download waits for another one on the same cache where the volume has locks, and does without where it has none."""

import errno
import fcntl
import threading

import pytest

from peft_fsdp_api.spec import ModelSpec
from peft_fsdp_trainer import model_source
from peft_fsdp_trainer.model_source import LOCK
from peft_fsdp_trainer.report import Reporter
from peft_fsdp_trainer.turns import NO_LOCKS, if_free, one_at_a_time


class Beats(Reporter):
    """A reporter that says when it is told of life."""

    def __init__(self, folder):
        super().__init__(0, folder)
        self.waiting = threading.Event()

    def heartbeat(self):
        self.waiting.set()


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Starts the download of a model that is there at once."""
    monkeypatch.setattr(model_source, "snapshot_download", lambda *_, **__: str(tmp_path / "snapshot"))
    return lambda reporter: model_source._start_download(ModelSpec(source="me/base"), tmp_path / "cache", reporter)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_download_waits_for_another_one_and_shows_signs_of_life(download, tmp_path):
    (tmp_path / "cache").mkdir()
    reporter = Beats(tmp_path)
    with one_at_a_time(tmp_path / "cache" / LOCK, pytest.fail):
        waiting = download(reporter)
        assert reporter.waiting.wait(30)
        assert not waiting.done()
    assert waiting.result(30) == tmp_path / "snapshot"


@pytest.mark.parametrize("refusal", NO_LOCKS, ids=errno.errorcode.get)
def test_a_volume_without_locks_is_downloaded_to_without_one(download, tmp_path, monkeypatch, refusal):
    def no_locks(*_):
        raise OSError(refusal, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    for _ in range(2):
        assert download(Beats(tmp_path)).result(30) == tmp_path / "snapshot"
    assert names(tmp_path / "cache") == [LOCK]


def test_another_error_of_the_lock_is_not_taken_for_its_absence(download, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output error"):
        download(Beats(tmp_path)).result(30)


def test_a_lock_that_another_has_is_not_free(tmp_path):
    lock = tmp_path / "lock"
    with one_at_a_time(lock, pytest.fail), if_free(lock) as held:
        assert not held
    with if_free(lock) as free:
        assert free
