"""A volume that the pod's user may not write: told by name before anything is loaded, and not tried again."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peft_fsdp_api.names import OWNER_FILE, USER_ID
from peft_fsdp_api.reasons import REASONS, Budget
from peft_fsdp_api.trainer_config import JobIdentity
from peft_fsdp_trainer.errors import VolumeNotWritable
from peft_fsdp_trainer.output import Output
from peft_fsdp_trainer.write_access import READ_ONLY_HINT, check_writable
from tests.trainer.small_disk import read_only_disk

JOB = JobIdentity(name="tune", namespace="team", uid="u1")


@contextmanager
def pod_user() -> Iterator[None]:
    """As the user of a pod, whom root's rights do not help."""
    if os.geteuid() != 0:
        pytest.skip("to be another user for a while needs root")
    os.seteuid(USER_ID)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def volume() -> Iterator[Path]:
    """A volume that anybody may read, as the server of it would be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def claim(volume: Path, attempt: int = 1) -> None:
    Output(volume / "tune", volume, JOB, attempt).claim()


def test_an_output_of_another_user_is_named_with_its_owner(volume):
    with pod_user(), pytest.raises(VolumeNotWritable) as caught:
        claim(volume)
    said = f"user 1000 (group {os.getegid()}) may not write to {volume}/tune (spec.output.claim): "
    assert caught.value.message == f"{said}{volume} belongs to user 0 (group {os.getegid()}), drwxr-xr-x"
    assert caught.value.hint is None, "the reason's own says what to do"
    assert "chown -R 1000:1000" in REASONS[caught.value.reason].hint
    assert REASONS[caught.value.reason].budget is Budget.NONE


def test_a_later_attempt_that_may_not_write_any_more_is_told_too(volume):
    claim(volume)
    (volume / "tune").chmod(0o755)
    with pod_user(), pytest.raises(VolumeNotWritable, match=f"{volume}/tune belongs to user 0"):
        claim(volume, attempt=2)


def test_what_lies_below_a_folder_that_cannot_be_seen_is_told_by_that_folder(volume):
    (volume / "closed").mkdir(mode=0o700)
    with pod_user(), pytest.raises(VolumeNotWritable, match=r"closed belongs to user 0 .*, drwx------"):
        check_writable(volume / "closed" / "cache", "cache.claim")


def test_a_read_only_volume_has_another_remedy(tmp_path):
    with read_only_disk(tmp_path / "cache") as cache, pytest.raises(VolumeNotWritable) as caught:
        check_writable(cache, "cache.claim")
    assert caught.value.message == f"{cache} (spec.cache.claim) cannot be written: its file system is mounted read-only"
    assert caught.value.hint == READ_ONLY_HINT


def test_a_folder_that_can_be_written_is_made_and_left_empty(volume):
    volume.chmod(0o777)
    with pod_user():
        check_writable(volume / "cache", "cache.claim")
        claim(volume)
    assert list((volume / "cache").iterdir()) == []
    assert (volume / "tune" / OWNER_FILE).exists()
