"""Whether a failed attempt is followed by another one, and when. Called by `rules`."""

import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from peft_fsdp_api.reasons import REASONS, Budget, Reason
from peft_fsdp_api.spec import RestartSpec
from peft_fsdp_api.status import Restarts

FIRST_WAIT: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(minutes=5)
JITTER: Final = 0.2


@dataclass(frozen=True)
class Verdict:
    """What a failure leads to."""

    restarts: Restarts | None
    """The counters with this restart in them, or None where there is no further attempt."""
    wait: timedelta
    why_not: str = ""
    """Why there is no further attempt."""


def judge(reason: Reason, spec: RestartSpec, so_far: Restarts, seed: str) -> Verdict:
    """Charge a failure to its budget. `seed` varies the jitter: job and attempt."""
    budget = REASONS[reason].budget
    if budget is Budget.NONE:
        return Verdict(None, timedelta(), "it would fail again in the same way, so it is not retried")
    limit, used = getattr(spec, budget).limit, getattr(so_far, budget)
    if used >= limit:
        return Verdict(None, timedelta(), f"restart.{budget}.limit {limit} is used up")
    restarts = so_far.model_copy(update={budget: used + 1})
    # A program that failed may need time for what it depends on; a pod that was taken away needs none at first.
    free = 0 if budget is Budget.APPLICATION else 1
    return Verdict(restarts, back_off(used - free, seed))


def back_off(round_number: int, seed: str) -> timedelta:
    """1 s, 2 s, 4 s ... 5 min, up to a fifth longer so that jobs that failed together do not return together.

    A negative round has no wait. The jitter is a hash of the seed: a repeated decision waits for the same moment.
    """
    if round_number < 0:
        return timedelta()
    wait: timedelta = min(FIRST_WAIT * 2 ** min(round_number, 16), LONGEST_WAIT)
    share: float = (zlib.crc32(seed.encode()) % 1000) / 1000
    return wait * (1 + JITTER * share) if round_number else wait
