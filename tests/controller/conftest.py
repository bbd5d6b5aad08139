"""Time for these tests: it passes when the test says so, not while a busy machine lets the test wait."""

import asyncio
from collections.abc import Callable

import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def leap(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock of the running loop, and with it all its timers, forward by seconds."""
    loop = asyncio.get_running_loop()
    clock, ahead = loop.time, 0.0

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    return move
