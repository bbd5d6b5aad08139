"""Times as Kubernetes writes them: RFC 3339, UTC, whole seconds. Used by the pure parts; none of them has a clock."""

import math
from datetime import UTC, datetime, timedelta


def stamp(moment: datetime) -> str:
    """The moment as text, cut to whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_up(moment: datetime) -> str:
    """The moment as text, rounded up: a wait that is written down never becomes shorter."""
    return stamp(moment + timedelta(seconds=math.ceil(moment.microsecond / 1e6)))


def read_time(text: str) -> datetime:
    """The moment in a text of the API server or of ourselves, fractions allowed."""
    return datetime.fromisoformat(text)


def seconds_between(start: str | None, end: datetime) -> int:
    """Whole seconds from a written time to `end`; 0 where it was never written."""
    return max(0, int((end - read_time(start)).total_seconds())) if start else 0
