"""What happens in one random life, as a value that follows from its seed."""

from dataclasses import dataclass
from random import Random
from typing import Literal

from tests.faults.rules import (
    BROKEN,
    BUSY,
    CONFLICT,
    INVALID,
    UNAVAILABLE,
    CutWatch,
    Drop,
    Fault,
    GoneWatch,
    Hang,
    Kill,
    Late,
    Slow,
    Stale,
)

Deed = Literal["error", "userError", "delete", "evict", "loseNode", "suspend", "remove", "succeed"]
DEEDS: dict[Deed, int] = {
    "error": 4, "userError": 1, "delete": 4, "evict": 3, "loseNode": 1, "suspend": 3, "remove": 1, "succeed": 4,
}  # fmt: skip
WRITE_FAULTS: dict[Fault, int] = {
    CONFLICT: 3, INVALID: 2, BUSY: 2, BROKEN: 3, UNAVAILABLE: 2, Drop(): 3, Drop(after=True): 4, Hang(): 1,
    Hang(after=True): 1, Slow(0.5): 3, Kill(): 4, Kill(after=True): 4,
    Late(1.0): 1, Late(4.0): 1, Late(2.0, kill=True): 2,
}  # fmt: skip
WATCH_FAULTS: dict[Fault, int] = {CutWatch(0): 2, CutWatch(3): 3, GoneWatch(): 3, GoneWatch(as_event=False): 2}
LIST_FAULTS: dict[Fault, int] = {Stale(): 3, BROKEN: 1, BUSY: 1, Slow(0.5): 2}
WATCHED = ("pods", "services", "configmaps", "peftfsdpjobs")


@dataclass(frozen=True)
class Turn:
    """One thing that is done to the job, by somebody who waits until it starts or until it runs, or does not wait."""

    deed: Deed
    at: Literal["once", "starting", "running"]
    worker: int


@dataclass(frozen=True)
class Trouble:
    """A fault at the `first` write of the job, or at the `first` watch or list of a kind from now on."""

    fault: Fault
    first: int
    verb: Literal["", "watch", "list"] = ""
    resource: str = ""


@dataclass(frozen=True)
class Plan:
    """`seed` alone makes it."""

    seed: int
    workers: int
    limits: tuple[int, int, int]
    """Of the budgets: application, infrastructure, preemption."""
    ttl: bool
    turns: tuple[Turn, ...]
    troubles: tuple[Trouble, ...]


def make_plan(seed: int) -> Plan:
    """The plan of a seed: up to four deeds, then an end; up to six faults at writes, up to two at watches and lists."""
    random = Random(seed)
    workers = random.randint(1, 3)
    count = random.choice((0, 1, 1, 2, 2, 3, 4))
    deeds = [
        *random.choices(list(DEEDS), list(DEEDS.values()), k=count),
        random.choice(("succeed", "remove", "succeed")),
    ]
    turns = tuple(
        Turn(deed, random.choice(("running", "running", "starting", "once")), random.randrange(workers))
        for deed in deeds
    )
    return Plan(
        seed=seed,
        workers=workers,
        limits=(random.choice((0, 1, 3)), random.choice((1, 2, 10)), random.choice((1, 2, 100))),
        ttl=random.random() < 0.5,
        turns=turns,
        troubles=tuple(_troubles(random)),
    )


def _troubles(random: Random) -> list[Trouble]:
    first = 0
    found = []
    for fault in random.choices(list(WRITE_FAULTS), list(WRITE_FAULTS.values()), k=random.randint(0, 6)):
        first += random.randint(1, 6)
        found.append(Trouble(fault, first))
    for _ in range(random.choice((0, 0, 1, 2))):
        verb = random.choice(("watch", "list"))
        kinds = WATCH_FAULTS if verb == "watch" else LIST_FAULTS
        fault = random.choices(list(kinds), list(kinds.values()))[0]
        found.append(Trouble(fault, random.randint(1, 2), verb, random.choice(WATCHED)))
    return found
