"""Faults, and when they strike: values that `proxy` carries out."""

from dataclasses import dataclass, field

from tests.faults.asked import Asked


@dataclass(frozen=True)
class Answer:
    """An error in place of an answer; the request is not forwarded."""

    code: int
    reason: str = ""
    retry_after: int | None = None


@dataclass(frozen=True)
class Hang:
    """No answer at all; with `after` the API server has done what was asked."""

    after: bool = False


@dataclass(frozen=True)
class Drop:
    """The connection breaks, before the request arrives or after it was done."""

    after: bool = False


@dataclass(frozen=True)
class Kill:
    """kill -9 of the operator, before the request arrives or after it was done; the answer is never heard."""

    after: bool = False


@dataclass(frozen=True)
class Late:
    """The connection breaks, or the operator is killed; the request is on its way and arrives so much later."""

    seconds: float
    kill: bool = False


@dataclass(frozen=True)
class Slow:
    """The answer takes its time."""

    seconds: float


@dataclass(frozen=True)
class Stale:
    """A list is answered with the first answer that was ever given to the same question."""


@dataclass(frozen=True)
class CutWatch:
    """A watch breaks in the middle of a line, after so many events."""

    events: int = 0


@dataclass(frozen=True)
class GoneWatch:
    """A watch is told that its history is no longer kept, as the API server tells it: by an event or by the code."""

    as_event: bool = True


@dataclass(frozen=True)
class ErrorWatch:
    """A watch ends with an error, as the API server tells one that has nothing to do with history."""

    code: int


@dataclass(frozen=True)
class Garbage:
    """What a proxy or a broken line makes of an answer; a watch gets it in place of its first event."""

    text: str
    content_type: str = "application/json"
    code: int = 200


Fault = Answer | Hang | Drop | Kill | Late | Slow | Stale | CutWatch | GoneWatch | ErrorWatch | Garbage

CONFLICT = Answer(409, "Conflict")
INVALID = Answer(422, "Invalid")
BUSY = Answer(429, "TooManyRequests", retry_after=1)
BROKEN = Answer(500, "InternalError")
UNAVAILABLE = Answer(503, "ServiceUnavailable")
PAGE = Garbage("<html>\n<body>Please log in.</body>\n</html>\n", "text/html")
NOT_FOUND = Garbage("<html>no such backend</html>", "text/html", 404)
TRUNCATED = Garbage('{"kind": "List", "type": "ADDED", "object": {"metadata": {"name": "tu\n')
HOLLOW = Garbage('{"kind": "List", "type": "ADDED", "metadata": {}}\n')
"""Read without an error, and yet neither a list nor an event."""


@dataclass(frozen=True)
class Match:
    """Which requests; what is empty fits all."""

    verb: str = ""
    resource: str = ""
    job: str = ""
    point: str = ""
    writes: bool = False

    def fits(self, asked: Asked) -> bool:
        wanted = (self.verb, self.resource, self.job, self.point)
        given = (asked.verb, asked.resource, asked.job, asked.point)
        return all(not one or one == other for one, other in zip(wanted, given, strict=True)) and (
            asked.is_write or not self.writes
        )


@dataclass
class Rule:
    """The fault strikes at the `first` request that fits, counted from 1, and at the next ones up to `times`."""

    match: Match
    fault: Fault
    first: int = 1
    times: int = 1
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def strikes(self, asked: Asked) -> bool:
        if not self.match.fits(asked):
            return False
        self.seen += 1
        if self.seen < self.first or self.struck >= self.times:
            return False
        self.struck += 1
        return True


@dataclass
class EverySecond:
    """The fault strikes every second write of a job the first time it is tried; `offset` 0 or 1 says which half.

    If each one failed, no pass would ever succeed, and the back-off would grow as it does while nothing works.
    """

    job: str
    fault: Fault
    offset: int
    points: list[str] = field(default_factory=list)

    def strikes(self, asked: Asked) -> bool:
        if not asked.is_write or asked.job != self.job or asked.point in self.points:
            return False
        self.points.append(asked.point)
        return len(self.points) % 2 == self.offset

    @property
    def struck(self) -> int:
        return len(self.points) // 2
