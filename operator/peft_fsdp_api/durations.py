"""Durations as people write them in YAML: `90s`, `15m`, `1h30m`."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from .text import Text

_ALLOWED: Final = "hours, minutes and seconds such as 1h30m or 90s"

_FORM: Final = r"[0-9]{1,6}h([0-9]{1,6}m)?([0-9]{1,6}s)?|[0-9]{1,6}m([0-9]{1,6}s)?|[0-9]{1,6}s"

Duration = Annotated[str, Field(max_length=21), Text(_FORM, _ALLOWED)]
Deadline = Annotated[Duration, Text(r".*[1-9].*", "a duration of more than 0 such as 1h30m")]

_PARTS: Final = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """`1h30m` as a timedelta. Raises ValueError for anything that `Duration` does not allow."""
    match = _PARTS.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is not a duration; write {_ALLOWED}")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The two largest units of a duration, such as `1h12m`, `3m5s` or `0s`."""
    total = max(0, round(duration.total_seconds()))
    parts = [(total // 3600, "h"), (total % 3600 // 60, "m"), (total % 60, "s")]
    shown = [f"{value}{unit}" for value, unit in parts if value]
    return "".join(shown[:2]) or "0s"
