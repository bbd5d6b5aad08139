"""Whether a failed attempt is followed by another one, and when. Called by `rules`."""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from peft_fsdp_api.durations import parse_duration
from peft_fsdp_api.reasons import REASONS, Budget, Reason
from peft_fsdp_api.spec import BudgetSpec, RestartSpec
from peft_fsdp_api.status import BudgetUse, BudgetUses, JobStatus, Restarts

from ..times import read_time, stamp

FIRST_WAIT: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(minutes=5)
JITTER: Final = 0.2
FIRST_FREE_ROUND: Final = 6
"""A minute and up to 13 s: where two halves of gangs held what the other needed, the one that comes back first has to
be placed as a whole before the other one comes. Each hour of waiting widens that, up to the longest wait."""


@dataclass(frozen=True)
class Verdict:
    """What a failure leads to."""

    restarts: Restarts | None
    """All restarts with this one, or None where there is no further attempt."""
    budgets: BudgetUses | None
    """What is used of the budgets with this restart."""
    wait: timedelta
    why_not: str = ""
    """Why there is no further attempt."""


def judge(reason: Reason, spec: RestartSpec, status: JobStatus, now: datetime, seed: str) -> Verdict:
    """Charge a failure to its budget. `seed` varies the jitter: job and attempt."""
    budget = REASONS[reason].budget
    if budget is Budget.NONE:
        return _refuse("it would fail again in the same way, so it is not retried")
    if budget is Budget.FREE:
        since = status.waiting_since or status.attempt_time
        hours = (now - read_time(since)) // timedelta(hours=1) if since else 0
        return Verdict(status.restarts, status.budgets, back_off(FIRST_FREE_ROUND + hours, seed))
    allowed: BudgetSpec = getattr(spec, budget)
    use = _use_now(getattr(status.budgets, budget, None), allowed, getattr(status.restarts, budget), now)
    if use.used >= allowed.limit:
        window = f" in {allowed.window}" if allowed.window else ""
        return _refuse(f"restart.{budget}.limit {allowed.limit}{window} is used up")
    restarts = status.restarts.model_copy(update={budget: getattr(status.restarts, budget) + 1})
    charged = use.model_copy(update={"used": use.used + 1})
    budgets = (status.budgets or BudgetUses()).model_copy(update={budget: charged})
    # A program that failed may need time for what it depends on; a pod that was taken away needs none at first.
    free = 0 if budget is Budget.APPLICATION else 1
    return Verdict(restarts, budgets, back_off(use.used - free, seed))


def refund(reason: Reason, status: JobStatus) -> JobStatus:
    """The status as if `judge` had never charged this failure."""
    budget = REASONS[reason].budget
    if budget in (Budget.NONE, Budget.FREE) or status.budgets is None:
        return status
    use: BudgetUse = getattr(status.budgets, budget)
    restarts = status.restarts.model_copy(update={budget: getattr(status.restarts, budget) - 1})
    budgets = status.budgets.model_copy(update={budget: use.model_copy(update={"used": use.used - 1})})
    return status.model_copy(update={"restarts": restarts, "budgets": budgets})


def _refuse(why: str) -> Verdict:
    return Verdict(None, None, timedelta(), why)


def _use_now(use: BudgetUse | None, allowed: BudgetSpec, restarts: int, now: datetime) -> BudgetUse:
    """What counts at this moment. A job of an older operator has its total alone."""
    if use is None:
        return BudgetUse(since=stamp(now), used=restarts)
    expired = allowed.window is not None and now - read_time(use.since) >= parse_duration(allowed.window)
    return BudgetUse(since=stamp(now), used=0) if expired else use


def back_off(round_number: int, seed: str) -> timedelta:
    """1 s, 2 s, 4 s ... 5 min, up to a fifth longer so that jobs that failed together do not return together.

    A negative round has no wait. The jitter is a hash of the seed: a repeated decision waits for the same moment.
    """
    if round_number < 0:
        return timedelta()
    wait: timedelta = min(FIRST_WAIT * 2 ** min(round_number, 16), LONGEST_WAIT)
    share: float = (zlib.crc32(seed.encode()) % 1000) / 1000
    return wait * (1 + JITTER * share) if round_number else wait
