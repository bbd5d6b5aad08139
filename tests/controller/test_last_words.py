"""What failed pods said last, kept until the next pass."""

from dataclasses import replace

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_operator.decide.cause import find_cause
from peft_fsdp_operator.last_words import LastWords
from tests.controller.builders import NOW, at, ended, failed, pod, running


@pytest.fixture
def words():
    return LastWords()


def test_a_pod_that_failed_and_went_is_remembered_as_it_was_last(words):
    words.keep(running(0), failed(0, Reason.DATASET_INVALID, deleted_at=at(0)))
    (kept,) = words.of("u1", 1)
    assert kept.trainer_end.exit_code == 66
    assert kept.deleted_at is None


@pytest.mark.parametrize("last", [running(0), pod(0), ended(0, 0)])
def test_one_that_said_nothing_or_ended_well_is_not(words, last):
    words.keep(running(0), last)
    assert words.of("u1", 1) == ()


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, Reason.APPLICATION_ERROR),
        ({"deleted_at": at(0), "grace_seconds": 0}, Reason.APPLICATION_ERROR),
        ({"deleted_at": at(30), "grace_seconds": 30}, Reason.APPLICATION_ERROR),
        ({"deleted_at": at(3), "grace_seconds": 3}, Reason.POD_DELETED),
    ],
    ids=["ended, then removed", "the delete's answer came first", "told to stop", "its time to stop was over"],
)
def test_what_killed_it_is_judged_by_the_time_it_had_to_stop(words, known, reason):
    words.keep(replace(running(0), **known), ended(0, 137, after=1, deleted_at=at(0)))
    assert find_cause(1, words.of("u1", 1), {}, NOW).reason == reason


def test_only_the_newest_attempt_is_kept(words):
    second = replace(ended(1, 1), attempt=2, name="tune-2-1")
    words.keep(running(0), ended(0, 1))
    words.keep(second, second)
    words.keep(running(1), ended(1, 1))
    assert (words.of("u1", 1), words.of("u1", 2)) == ((), (second,))
    words.forget("u1")
    assert words.of("u1", 2) == ()
