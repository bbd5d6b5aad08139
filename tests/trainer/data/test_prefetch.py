"""The next item is made while the last one is used; errors and the end of its reader arrive."""

import threading

import pytest

from peft_fsdp_trainer.data.prefetch import Prefetch


def test_the_next_item_is_made_while_the_last_one_is_used():
    second = threading.Event()

    def items():
        yield 1
        second.set()
        yield 2

    prefetch = Prefetch(items())
    assert prefetch.next(lambda: None) == 1
    assert second.wait(10), "nobody asked for it"
    assert prefetch.next(lambda: pytest.fail("it was ready")) == 2
    prefetch.close()


def test_an_error_is_raised_where_the_item_is_wanted():
    def items():
        yield 1
        raise ValueError("row 2")

    prefetch = Prefetch(items())
    assert prefetch.next(lambda: None) == 1
    with pytest.raises(ValueError, match="row 2"):
        prefetch.next(lambda: None)
    prefetch.close()


def test_waiting_is_told_until_the_item_is_there():
    told, free = [], threading.Event()

    def items():
        free.wait(30)
        yield 1

    def waiting():
        told.append(1)
        free.set()

    prefetch = Prefetch(items())
    assert prefetch.next(waiting) == 1
    assert told
    prefetch.close()


def test_nothing_is_made_after_the_end():
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    prefetch = Prefetch(items())
    prefetch.close()
    assert len(made) <= 3
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


def test_all_items_to_the_end():
    prefetch = Prefetch(iter(range(5)))
    assert list(prefetch) == [0, 1, 2, 3, 4]
    prefetch.close()


def test_an_item_that_hangs_does_not_hold_the_end_up():
    free = threading.Event()

    def items():
        free.wait()
        yield 1

    closing = threading.Thread(target=Prefetch(items()).close)
    closing.start()
    closing.join(30)
    hangs = closing.is_alive()
    free.set()
    assert not hangs
