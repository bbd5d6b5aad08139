"""Waits between tries: longer and longer, never longer than ten seconds, and never the same for all."""

from itertools import islice

import pytest

from peft_fsdp_operator import backoff
from peft_fsdp_operator.backoff import Endless, Pace, wait_after


def test_waits_grow_up_to_ten_seconds_at_most():
    waits = [wait_after(failures) for failures in range(100)]
    assert max(waits[:3]) < 1.1
    assert 6.0 <= min(waits[10:]) <= max(waits) <= 10.0


def test_watches_that_broke_together_do_not_come_back_together():
    assert len({wait_after(10) for _ in range(20)}) > 15


def test_tries_do_not_end_and_begin_anew_with_each_request():
    endless = Endless()
    for _ in range(2):
        first, *_, last = islice(endless, 50)
        assert first < 0.3
        assert last > 5


def watched(pace, *, hears=False):
    pace.begin()
    if hears:
        pace.hear()
    return pace


@pytest.mark.parametrize("end", [Pace.wait_after_end, Pace.wait_after_break, Pace.wait_after_garbage])
async def test_watches_that_say_nothing_come_more_and_more_seldom(end):
    pace = Pace()
    waits = [end(watched(pace)) for _ in range(10)]
    assert waits[0] < 1 < 5 < waits[-1]


async def test_a_watch_that_the_api_server_ends_while_it_is_busy_goes_on_at_once():
    pace = Pace()
    assert [watched(pace, hears=True).wait_after_end() for _ in range(10)] == [0] * 10


async def test_a_connection_that_breaks_now_and_then_is_made_again_soon():
    pace = Pace()
    assert all(0 < watched(pace, hears=True).wait_after_break() < 1 for _ in range(10))


async def test_nonsense_after_sense_is_nonsense():
    pace = Pace()
    waits = [watched(pace, hears=True).wait_after_garbage() for _ in range(10)]
    assert waits[0] < 1 < 5 < waits[-1]


async def test_a_lost_place_is_made_good_soon_whatever_failed_before_unless_lists_do_not_help():
    pace = Pace()
    for _ in range(10):
        pace.wait_after_break()
    waits = [pace.wait_after_loss() for _ in range(10)]
    assert waits[0] < 0.3 < 5 < waits[-1]


async def test_after_a_watch_that_lasted_all_begins_anew(monkeypatch):
    monkeypatch.setattr(backoff, "STEADY", 0.0)
    pace = Pace()
    for _ in range(10):
        pace.wait_after_garbage()
    assert watched(pace).wait_after_end() == 0
    assert 0 < watched(pace).wait_after_garbage() < 1
