"""A job from a seed: a valid one grown field by field, and then, most times, something that is wrong with it."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from peft_fsdp_api.job import InvalidJob, parse_job
from tests.api.cases import minimal_job
from tests.specs.mutations import mutate, odd_values
from tests.specs.places import fitting, places, put


@dataclass(frozen=True)
class Generated:
    """The job, and what was done to the valid one that it comes from."""

    seed: int
    job: dict[str, Any]
    changes: tuple[tuple[str, tuple[str, ...]], ...]
    """(kind, places) of each."""

    @property
    def touched(self) -> list[str]:
        return [place for _, places_ in self.changes for place in places_]


def generate(seed: int) -> Generated:
    random = Random(seed)
    job = _grown(random)
    number = random.choices([0, 1, 2, 3], [3, 10, 3, 1])[0]
    changes = [mutate(job, random) for _ in range(number)]
    return Generated(seed, job, tuple((kind, tuple(touched)) for kind, touched in changes))


def _grown(random: Random) -> dict[str, Any]:
    """A valid job: what breaks a rule on the way is taken back."""
    job = minimal_job()
    for _ in range(random.randint(0, 10)):
        place = random.choice(places()[1:])
        value = fitting(place, random)
        tried = deepcopy(job)
        if value is not None and put(tried, place.path, deepcopy(value)) and is_valid(tried):
            job = tried
    return job


def is_valid(job: dict[str, Any]) -> bool:
    try:
        parse_job(job)
    except InvalidJob:
        return False
    return True


def every_value() -> Iterator[Generated]:
    """The shortest job with each odd value at each place that takes its type: what chance would take long to meet."""
    for place in places()[1:]:
        for value in odd_values(place):
            job = minimal_job()
            put(job, place.path, deepcopy(value))
            yield Generated(-1, job, ((f"{value!r:.60}", (place.name,)),))
