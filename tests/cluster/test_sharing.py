"""Who brings the cluster up and takes it down when several processes test in it; each lock is one of a process."""

from contextlib import ExitStack
from threading import Event, Thread

import pytest

from tests.cluster.sharing import nobody_in, shared, turn


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    monkeypatch.setenv("PEFT_FSDP_STATE", str(tmp_path))


@pytest.fixture
def told():
    return []


def enter(told, ours=True):
    def bring_up():
        told.append("up")
        return ours

    inside = ExitStack()
    inside.enter_context(shared(bring_up, lambda ours: told.append("down" if ours else "left alone")))
    return inside


def test_the_first_one_in_brings_it_up_and_the_last_one_out_takes_it_down(told):
    first, second = enter(told), enter(told)
    first.close()
    third = enter(told)
    second.close()
    assert told == ["up"]
    third.close()
    assert told == ["up", "down"]
    enter(told).close()
    assert told == ["up", "down"] * 2


def test_what_was_there_before_the_first_one_is_told_by_the_last_one(told):
    first, second = enter(told, ours=False), enter(told)
    first.close()
    second.close()
    assert told == ["up", "left alone"]


def test_after_a_start_that_failed_the_next_one_is_the_first(told):
    def fail():
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), shared(fail, lambda _: told.append("down")):
        pass
    enter(told).close()
    assert told == ["up", "down"]


def test_who_wants_nobody_in_there_waits_and_is_waited_for(told):
    inside, alone, leave = enter(told), Event(), Event()

    def work():
        with nobody_in():
            alone.set()
            leave.wait(30)
            told.append("alone")

    worker = Thread(target=work)
    worker.start()
    assert not alone.wait(0.3)
    inside.close()
    assert alone.wait(30)
    late = Thread(target=lambda: enter(told).close())
    late.start()
    late.join(0.5)
    leave.set()
    worker.join()
    late.join()
    assert told == ["up", "down", "alone", "up", "down"]


def test_turns_are_shared_but_for_one_that_is_alone():
    taken, waited = Event(), Event()

    def work():
        taken.set()
        with turn(alone=True):
            waited.set()

    with turn(alone=False), turn(alone=False):
        worker = Thread(target=work)
        worker.start()
        assert taken.wait(30)
        assert not waited.wait(0.3)
    assert waited.wait(30)
    worker.join()
