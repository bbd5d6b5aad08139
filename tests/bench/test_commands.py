"""The commands are measured as a person would run them one after the other."""

import pytest

from tests.bench import commands


@pytest.fixture
def ran(monkeypatch):
    names: list[str] = []
    monkeypatch.setattr(commands, "_run", names.append)
    return names


def test_the_demo_is_down_before_the_tests_are_timed(ran):
    figures = commands.measure()
    assert ran == ["check", "demo", "demo-down", "test"]
    assert [figure.name for figure in figures] == ["make check, warm", "make demo, warm", "make test, warm"]


def test_a_demo_that_failed_is_taken_down_too(ran, monkeypatch):
    def fail(target):
        ran.append(target)
        if target == "demo":
            raise RuntimeError

    monkeypatch.setattr(commands, "_run", fail)
    with pytest.raises(RuntimeError):
        commands.measure()
    assert ran[-1] == "demo-down"
