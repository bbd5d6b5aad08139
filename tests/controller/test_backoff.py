"""Waits between tries: longer and longer, never longer than ten seconds, and never the same for all."""

from itertools import islice

from peft_fsdp_operator.backoff import Endless, wait_after


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
