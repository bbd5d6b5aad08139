"""The cache on a volume that pods share: killed and slow tokenizers, no locks, a full disk, data that changes."""

import errno
import fcntl
import json
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from peft_fsdp_api.spec import DatasetSpec
from peft_fsdp_trainer.data import cache, prepare
from peft_fsdp_trainer.data.cache import ABANDONED_SECONDS, made_once
from peft_fsdp_trainer.errors import DatasetInvalid
from tests.trainer.small_disk import fill, small_disk

ROWS = [{"text": f"text number {number} " * 20} for number in range(600)]
"""More than two blocks of the tokenizer, and more than a file's buffer."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_slowly(began, folder):
    (folder / "half").touch()
    began.set()
    time.sleep(600)


@pytest.fixture
def killed(tmp_path):
    """The cache in which a process was killed at work on `key`."""
    context = multiprocessing.get_context("fork")
    began = context.Event()
    process = context.Process(
        target=made_once,
        args=(tmp_path / "key", lambda folder: write_slowly(began, folder)),
        kwargs={"waiting": lambda: None},
    )
    process.start()
    assert began.wait(30)
    process.kill()
    process.join()
    return tmp_path


# The child touches files and nothing else; what other threads of this process hold does not matter to it.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_work_of_a_killed_process_is_done_by_the_next_and_its_remains_go_with_time(killed):
    made_once(killed / "key", lambda folder: (folder / "whole").touch(), waiting=pytest.fail)
    (remains,) = killed.glob("unfinished-*")
    made_once(killed / "other", lambda folder: None, waiting=pytest.fail)
    assert remains.exists(), "somebody on another node may be at work on it"
    long_ago = time.time() - ABANDONED_SECONDS - 1
    for path in (*remains.iterdir(), remains):
        os.utime(path, (long_ago, long_ago))
    made_once(killed / "third", lambda folder: None, waiting=pytest.fail)
    assert not remains.exists()
    assert names(killed / "key") == ["whole"]


def test_slow_work_is_not_taken_for_abandoned(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "ABANDONED_SECONDS", -1.0)

    def make(folder):
        made_once(tmp_path / "other", lambda _: None, waiting=pytest.fail)
        (folder / "whole").touch()

    made_once(tmp_path / "key", make, waiting=pytest.fail)
    assert names(tmp_path / "key") == ["whole"]


def test_on_a_volume_without_locks_both_work_and_both_get_the_whole(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    both_work = threading.Barrier(2)

    def make(folder):
        (folder / "first").touch()
        both_work.wait(30)
        (folder / "second").touch()

    with ThreadPoolExecutor(2) as pool:
        folders = [pool.submit(made_once, tmp_path / "key", make, waiting=pytest.fail) for _ in range(2)]
    assert {folder.result() for folder in folders} == {tmp_path / "key"}
    assert names(tmp_path / "key") == ["first", "second"]
    assert names(tmp_path) == ["key", "key.lock"]


@pytest.mark.parametrize("file", ["tokens.i32", "learned.bool", "order.npy", "facts.json"])
def test_an_entry_that_is_cut_short_is_made_again(prepared, write_rows, tmp_path, file):
    source = write_rows(*ROWS[:6])
    before = np.array(prepared(source).train.tokens)
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    os.truncate(entry / file, (entry / file).stat().st_size // 2)
    assert np.array_equal(prepared(source).train.tokens, before)
    assert len(names(tmp_path / "cache")) == 2, "the entry and its lock"


def test_data_that_changes_while_it_is_read_is_not_kept(prepared, write_rows, tmp_path):
    source = write_rows(*ROWS)

    def append(stage, done, total):
        if done == 256:
            source.write_text(source.read_text() + json.dumps(ROWS[0]) + "\n")

    with pytest.raises(DatasetInvalid, match=r"train\.jsonl was changed while it was read"):
        prepared(source, report=append, train_split="train[:500]")
    assert [name for name in names(tmp_path / "cache") if not name.endswith(".lock")] == []


def test_a_disk_that_is_full_for_a_moment_leaves_no_holes(tokenizer, write_rows, tmp_path):
    spec = DatasetSpec.model_validate({"source": str(write_rows(*ROWS)), "max_length": 64})
    with small_disk(tmp_path / "disk", "1m") as disk:
        ballast = disk / "ballast"
        fill(ballast)

        def free(stage, done, total):
            if done:
                ballast.unlink(missing_ok=True)

        with pytest.raises(OSError, match="No space left"):
            prepare(spec, tokenizer, attention="sdpa", cache_dir=disk / "cache", report=free)
