"""What the loop trains on, step by step: prepared rows epoch by epoch, or rows that are made while training.

Both move the run's position, which the loop reads and checkpoints keep. Made and consumed by `loop`.
"""

from collections.abc import Iterator
from itertools import count, islice
from typing import Protocol

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.spec import TrainingSpec

from .data import Batch, Batches, Prefetch, PreparedData, Rows, Stretch
from .distributed import Ranks
from .report import Reporter
from .schedule import Position, StepPlan
from .trainee import Trainee


class Feed(Protocol):
    """The batches of this rank."""

    total_steps: int
    """Optimizer steps of the run."""

    @property
    def epochs(self) -> float:
        """Passes over the data so far; with a stream the whole ones."""

    def begin(self) -> None:
        """Wait until the first batch can be had."""

    def steps(self) -> Iterator[list[Batch]]:
        """The batches of each step, without end."""

    def advance(self, batches: int) -> bool:
        """Move the position over one step of so many batches; true when that ended an epoch."""

    def counts(self) -> list[float]:
        """Documents that this rank trained on, cut, and left out; nothing where all were counted before."""

    def close(self) -> None:
        """Nothing more is taken; ends what makes batches ahead."""


def open_feed(data: PreparedData, trainee: Trainee, spec: TrainingSpec, ranks: Ranks, reporter: Reporter) -> Feed:
    """The feed that goes on where `trainee` stands."""
    if isinstance(data.train, Rows):
        return PreparedFeed(data.train, trainee.position, spec, ranks)
    assert trainee.cursor is not None
    stretch = Stretch(data.train, trainee.cursor, ranks.rank, spec.batch_size, spec.seed)
    return StreamFeed(stretch, trainee, spec, reporter)


class PreparedFeed:
    """Rows that were counted, shuffled anew in each epoch.

    Batches are made a step ahead on a thread. The position counts those that were trained on, so what was made and
    not used is made again after a resume.
    """

    def __init__(self, rows: Rows, position: Position, spec: TrainingSpec, ranks: Ranks) -> None:
        self._rows, self._position, self._spec, self._ranks = rows, position, spec, ranks
        self._plan = StepPlan(len(rows), spec.batch_size * ranks.world_size, spec.gradient_accumulation)
        self.total_steps = self._plan.total_steps(spec, position)
        self._ahead = Prefetch(self._endless(position.epoch, position.row))

    def begin(self) -> None:
        return

    @property
    def epochs(self) -> float:
        return self._position.epoch + self._position.row / self._plan.rows

    def steps(self) -> Iterator[list[Batch]]:
        return iter(self._ahead)

    def _endless(self, first_epoch: int, first_row: int) -> Iterator[list[Batch]]:
        """On the thread: the batches of one step after the other, from a place in the data on."""
        for epoch in count(first_epoch):
            batches = iter(
                Batches(
                    self._rows,
                    batch_size=self._spec.batch_size,
                    rank=self._ranks.rank,
                    world_size=self._ranks.world_size,
                    seed=self._spec.seed,
                    epoch=epoch,
                    start_row=first_row if epoch == first_epoch else 0,
                )
            )
            while group := list(islice(batches, self._spec.gradient_accumulation)):
                yield group

    def advance(self, batches: int) -> bool:
        return self._plan.advance(self._position, batches)

    def counts(self) -> list[float]:
        return []

    def close(self) -> None:
        self._ahead.close()


class StreamFeed:
    """Rows of a stream, without end and without epochs that all ranks would share."""

    def __init__(self, stretch: Stretch, trainee: Trainee, spec: TrainingSpec, reporter: Reporter) -> None:
        assert spec.max_steps is not None
        self.total_steps = spec.max_steps
        self._stretch, self._trainee, self._spec, self._reporter = stretch, trainee, spec, reporter
        self._rows_seen = 0
        stretch.waiting = self._heartbeat

    @property
    def epochs(self) -> float:
        return float(self._stretch.passes)

    def steps(self) -> Iterator[list[Batch]]:
        while True:
            yield [self._stretch.batch() for _ in range(self._spec.gradient_accumulation)]

    def advance(self, batches: int) -> bool:
        self._trainee.position.step += 1
        self._trainee.cursor = self._stretch.cursor
        return False

    def counts(self) -> list[float]:
        stretch = self._stretch
        return [stretch.documents, stretch.counts.truncated, stretch.counts.dropped]

    def close(self) -> None:
        self._stretch.close()

    def begin(self) -> None:
        """Wait for the first block: a resumed run reads through what it has read before."""
        with self._reporter.within(Stage.TOKENIZE):
            self._stretch.wait()
            # The last block of a pass is short, and the thread may be in the next one already.
            total = self._stretch.rows_to_read
            self._reporter.advance(total, total)

    def _heartbeat(self) -> None:
        """Waiting for data is a sign of life only while rows are read."""
        rows, stretch = self._rows_seen, self._stretch
        self._rows_seen = stretch.rows_read
        if self._rows_seen == rows:
            return
        if self._reporter.current_stage is Stage.TOKENIZE:
            total = stretch.rows_to_read
            self._reporter.advance(min(self._rows_seen, total), total)
        else:
            self._reporter.heartbeat()
