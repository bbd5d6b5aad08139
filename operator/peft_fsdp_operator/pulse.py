"""What the operator remembers of the launchers' answers during one attempt, to tell a slow gang from one that hangs.

Filled by `progress`, judged by `decide.stall`. Movement is timed on the operator's own clock: the heartbeats come from
the clocks of many nodes. An operator that starts anew has seen nothing yet, and every clock begins again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from peft_fsdp_api.progress import Progress, RankProgress, Stage

from .seen import Pulse


@dataclass
class _Worker:
    """One launcher: its last answer, and when each of its ranks was last seen to move."""

    progress: Progress
    answered_at: datetime
    moved_at: dict[int, datetime] = field(default_factory=dict)


class GangMemory:
    """One attempt of one job. A new attempt begins with a new memory."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self._workers: dict[int, _Worker] = {}

    @property
    def answers(self) -> Sequence[Progress]:
        """The last answer of each worker that ever answered, by worker."""
        return [self._workers[worker].progress for worker in sorted(self._workers)]

    def retain(self, running: Collection[int]) -> None:
        """Forget the workers that have ended: they neither move nor hang."""
        self._workers = {worker: known for worker, known in self._workers.items() if worker in running}

    def take(self, worker: int, progress: Progress, now: datetime) -> None:
        """A launcher has answered."""
        known = self._workers.get(worker)
        before = {rank.rank: rank for rank in known.progress.ranks} if known else {}
        moved_at = known.moved_at if known else {}
        for rank in progress.ranks:
            if _signs(before.get(rank.rank)) != _signs(rank):
                moved_at[rank.rank] = now
        self._workers[worker] = _Worker(progress, now, moved_at)

    def pulse(self, now: datetime) -> Pulse | None:
        """How quiet the gang is at a moment at which at least one launcher answered; None before any rank reported."""
        ranks = [(worker, rank) for worker, known in self._workers.items() for rank in known.progress.ranks]
        if not ranks:
            return None
        worker, slowest = min(ranks, key=lambda one: (not is_stopped(one[1]), self._moved_at(*one), *slowness(one[1])))
        # A launcher that does not answer may well see its ranks move: it counts as moving until its last answer.
        silent = frozenset(number for number, known in self._workers.items() if known.answered_at < now)
        moments = [self._moved_at(*one) for one in ranks] + [self._workers[number].answered_at for number in silent]
        return Pulse(
            moved_at=max(moments),
            read_at=now,
            rank=slowest.rank,
            worker=worker,
            stages=frozenset(rank.stage for _, rank in ranks),
            has_stepped=self._has_stepped(),
            silent=silent,
        )

    def _moved_at(self, worker: int, rank: RankProgress) -> datetime:
        return self._workers[worker].moved_at[rank.rank]

    def _has_stepped(self) -> bool:
        """Whether this attempt has finished a step: the first one may compile for long."""
        trainings = [known.progress.training for known in self._workers.values()]
        return any(training is not None and training.learning_rate is not None for training in trainings)


def slowness(rank: RankProgress) -> tuple[bool, str, int, int, int]:
    """Sorts ranks, the slowest first: a stopped one, the oldest heartbeat, then the one that has come least far."""
    return not is_stopped(rank), rank.heartbeat, list(Stage).index(rank.stage), rank.done, rank.rank


def is_stopped(rank: RankProgress) -> bool:
    """Whether a signal or a debugger stopped the process: heartbeats of whole seconds may tie, this does not."""
    return rank.process_state in ("T", "t")


def _signs(rank: RankProgress | None) -> tuple[Stage, int, str] | None:
    return (rank.stage, rank.done, rank.heartbeat) if rank else None
