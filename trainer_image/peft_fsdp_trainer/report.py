"""What a rank says about itself: one small file in the launcher's run folder, replaced as a whole.

Written by `Reporter` inside the training process, read by the launcher, which serves it over HTTP; so a rank that
hangs in a collective is seen by its old heartbeat and silences nobody.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from peft_fsdp_api.progress import Execution, RankProgress, Stage, TrainingProgress
from peft_fsdp_api.schema import ApiModel
from peft_fsdp_api.status import AdapterStatus, CheckpointStatus

WRITE_INTERVAL: Final = 0.5


class RankReport(ApiModel):
    """The content of a rank's report file. Only rank 0 knows more than `progress`."""

    progress: RankProgress
    pid: int
    """Of the rank, in the pod."""
    training: TrainingProgress | None = None
    execution: Execution | None = None
    checkpoint: CheckpointStatus | None = None
    adapter: AdapterStatus | None = None


def report_path(directory: Path, rank: int) -> Path:
    """The report file of a rank."""
    return directory / f"rank-{rank}.json"


def timestamp(seconds: float) -> str:
    """Unix time as RFC 3339 in UTC with whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part.

    The Hub client reports from threads of its own, so the half-written file carries the thread's number.
    """
    partial = path.with_suffix(f".partial-{threading.get_native_id()}")
    partial.write_text(text)
    partial.replace(path)


class Reporter:
    """Keeps the newest figures and writes them at most every half second, at once when the stage changes.

    Every call but `memory` is a sign of life: it moves the heartbeat. Nothing here runs on a thread, because a
    heartbeat that moves by itself says nothing.
    """

    def __init__(self, rank: int, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._rank = rank
        self._path = report_path(directory, rank)
        self._clock = clock
        self._stage = Stage.START
        self._done = 0
        self._total: int | None = None
        self._memory: tuple[int | None, int | None] = (None, None)
        self._training: TrainingProgress | None = None
        self._execution: Execution | None = None
        self._checkpoint: CheckpointStatus | None = None
        self._adapter: AdapterStatus | None = None
        self._next_write = 0.0

    @property
    def current_stage(self) -> Stage:
        """What the rank is doing."""
        return self._stage

    @contextlib.contextmanager
    def within(self, stage: Stage, total: int | None = None) -> Iterator[None]:
        """A stage inside the current one, which goes on where it was when the block ends without an error."""
        outer, done, outer_total = self._stage, self._done, self._total
        self.stage(stage, total)
        yield
        self._stage, self._done, self._total = outer, done, outer_total
        self.flush()

    @property
    def step(self) -> int | None:
        """Optimizer step of the last training report; None before the first."""
        return self._training.step if self._training else None

    def stage(self, stage: Stage, total: int | None = None) -> None:
        """Enter a stage with `total` units of work (steps, rows, layers or bytes)."""
        self._stage, self._done, self._total = stage, 0, total
        self.flush()

    def advance(self, done: int, total: int | None = None) -> None:
        """`done` units of the stage are finished; `total` corrects the number given at its start."""
        self._done = done
        if total is not None:
            self._total = total
        self.heartbeat()

    def memory(self, now: int, peak: int) -> None:
        """Memory of this rank in bytes; written with the next sign of life."""
        self._memory = (now, peak)

    def training(self, progress: TrainingProgress) -> None:
        """Figures of the run after an optimizer step."""
        self._training = progress
        self.heartbeat()

    def execution(self, execution: Execution) -> None:
        """What runs is known: the model is loaded."""
        self._execution = execution
        self.flush()

    def checkpoint(self, checkpoint: CheckpointStatus) -> None:
        """A checkpoint was committed."""
        self._checkpoint = checkpoint
        self.flush()

    def adapter(self, adapter: AdapterStatus) -> None:
        """The finished adapter is in its place."""
        self._adapter = adapter
        self.flush()

    def heartbeat(self) -> None:
        """Something got done; call it wherever work of unknown length advances."""
        if self._clock() >= self._next_write:
            self.flush()

    def flush(self) -> None:
        """Write now."""
        now = self._clock()
        self._next_write = now + WRITE_INTERVAL
        replace_file(self._path, self._report(now).model_dump_json(by_alias=True, exclude_none=True))

    def _report(self, now: float) -> RankReport:
        progress = RankProgress(
            rank=self._rank,
            stage=self._stage,
            done=self._done,
            total=self._total,
            heartbeat=timestamp(now),
            memory_bytes=self._memory[0],
            memory_peak_bytes=self._memory[1],
        )
        return RankReport(
            progress=progress,
            pid=os.getpid(),
            training=self._training,
            execution=self._execution,
            checkpoint=self._checkpoint,
            adapter=self._adapter,
        )
