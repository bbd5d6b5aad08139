"""Durations as people write them."""

from datetime import timedelta

import pytest

from peft_fsdp_api.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("1h0m5s", 3605), ("0s", 0), ("999999h", 999999 * 3600)],
)
def test_parsed(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "1.5h", "30m1h", "-1s", "1h ", "1H", "١s", "1s\n", "1d"])
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write hours, minutes and seconds"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.6, "1m"), (185, "3m5s"), (3600, "1h"), (4359, "1h12m"), (-5, "0s"), (400_000, "111h6m")],
)
def test_formatted(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text
