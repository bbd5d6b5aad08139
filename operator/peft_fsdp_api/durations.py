"""Durations as people write them in YAML: `90s`, `15m`, `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

DURATION_PATTERN: Final = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, min_length=2, max_length=21)]

_PARTS = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")


def parse_duration(text: str) -> timedelta:
    """`1h30m` as a timedelta. Raises ValueError for anything that `DURATION_PATTERN` does not allow."""
    match = _PARTS.match(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is not a duration; write hours, minutes and seconds such as 1h30m or 90s")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The two largest units of a duration, such as `1h12m`, `3m5s` or `0s`."""
    total = max(0, round(duration.total_seconds()))
    parts = [(total // 3600, "h"), (total % 3600 // 60, "m"), (total % 60, "s")]
    shown = [f"{value}{unit}" for value, unit in parts if value]
    return "".join(shown[:2]) or "0s"
