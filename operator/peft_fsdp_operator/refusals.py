"""What errors of the API server mean for a job: words for its status, or another try. Called by `children`.

A refusal is told at once. An error that may pass by itself is thrown, so that the queue tries again soon; after a few
in a row it is told as well, or the status would say for ever what the job is about to do.
"""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from .errors import ApiError
from .seen import Refusal

REFUSED_WAIT: Final = timedelta(seconds=5)
"""Quota and admission change rarely; nobody tells us when they do."""
LONGEST_WAIT: Final = timedelta(seconds=60)
"""After many refusals in a row: a hundred jobs that wait for one quota ask twice a second together."""
LEAVING_WAIT: Final = timedelta(seconds=1)
LEAVING: Final = "Terminating"
MAY_PASS: Final = 3
"""Errors in a row that are thrown: about a second."""


class Refusals:
    """Remembers, by job and by what was tried, how often in a row there was nothing but errors that may pass."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, str]] = Counter()

    def judge(
        self,
        tried: tuple[str, str],
        attempt: int,
        errors: Iterable[tuple[int | None, ApiError | None]],
        had: Refusal | None,
        now: datetime,
    ) -> Refusal | None:
        """The refusal among what came of the requests for workers, a pod's first. `had`: what came back the last time.

        Raises an error that may pass by itself, where there is no other.
        """
        failed = [(worker, error) for worker, error in errors if error is not None]
        told = [(worker, error) for worker, error in failed if _is_for_the_user(error)]
        if failed and not told:
            # One that does not answer at all is the fault of no job, and its return is not to be slept through.
            answered = [(worker, error) for worker, error in failed if error.status]
            self._failures[tried] += bool(answered)
            if not answered or self._failures[tried] <= MAY_PASS:
                raise failed[0][1]
            told = answered
        else:
            self._failures.pop(tried, None)
        times = had.times + 1 if had is not None and had.attempt == attempt else 1
        worker, error = min(told, key=lambda one: one[0] is None, default=(None, None))
        if error is None:
            return None
        return Refusal(attempt, worker, error.reason, error.message, now + _wait_after(error, times), times)

    def forget(self, uid: str) -> None:
        """The job is gone."""
        for tried in [one for one in self._failures if one[0] == uid]:
            del self._failures[tried]


def wait_after_refusal(times: int) -> timedelta:
    """5 s, 10 s, ... 1 min, up to a fifth longer: jobs that wait for one quota must not ask together."""
    wait: timedelta = min(REFUSED_WAIT * 2 ** min(times - 1, 16), LONGEST_WAIT)
    return wait * random.uniform(1, 1.2)


def _wait_after(error: ApiError, times: int) -> timedelta:
    wait = LEAVING_WAIT if error.reason == LEAVING else wait_after_refusal(times)
    return max(wait, timedelta(seconds=error.retry_after or 0))


def _is_for_the_user(error: ApiError) -> bool:
    """Whether the API server's words belong into the status: what it refuses, and what it could not ask.

    Error 500 is an admission webhook that does not answer; it may stay like that for long. A webhook may also refuse
    with any code that it likes.
    """
    return not error.is_transient or error.status == 500
