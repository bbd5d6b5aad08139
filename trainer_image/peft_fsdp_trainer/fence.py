"""Keeps an old attempt, which runs on behind a network partition, from writing over the newer one's work.

The operator starts the next attempt of a lost node's gang while ranks of the old one may still live and share the
volume. So each attempt leaves its number in the output before it reads or writes anything there, and looks at it before
everything that lasts. Used by `output`, on rank 0 for what is written once.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peft_fsdp_api.names import ATTEMPT_FILE
from peft_fsdp_api.schema import ApiModel

from .errors import OutputConflict, Superseded, TrainerError


class StartedAttempt(ApiModel):
    """The newest attempt that has started on an output."""

    uid: str
    """Of its job: a folder that another job takes over counts its attempts anew."""
    attempt: int


@dataclass(frozen=True)
class Fence:
    """The number of this attempt against the one in the output."""

    folder: Path
    uid: str
    attempt: int

    def check(self) -> None:
        """Pass while this attempt is the newest; what is lower, or lost, is raised to it.

        Two attempts that start in the same moment may write in the wrong order. The higher one puts that right with
        its next check, so that the number never stays too low.

        Raises:
            Superseded: a newer attempt of the job has started.
            OutputConflict: the file cannot be read.
        """
        newest = newest_attempt(self.folder, self.uid)
        if newest > self.attempt:
            raise Superseded(
                f"attempt {newest} of this job has started on {self.folder}; this is attempt {self.attempt}"
            )
        if newest < self.attempt:
            self._write()

    @contextmanager
    def around(self) -> Iterator[None]:
        """For work in a folder that a newer attempt removes: where there is one, any error is Superseded."""
        try:
            yield
        except TrainerError:
            raise
        except Exception as error:
            newest = newest_attempt(self.folder, self.uid)
            if newest <= self.attempt:
                raise
            raise Superseded(
                f"attempt {newest} of this job has taken over {self.folder} from attempt {self.attempt}: {error}"
            ) from error

    def _write(self) -> None:
        path = self.folder / ATTEMPT_FILE
        partial = path.with_suffix(f".partial-{self.attempt}")
        with partial.open("w") as file:
            file.write(StartedAttempt(uid=self.uid, attempt=self.attempt).model_dump_json(by_alias=True))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def newest_attempt(folder: Path, uid: str) -> int:
    """The newest attempt of the job that has started on this output; 0 where none has.

    Raises OutputConflict where the file is not one of ours.
    """
    path = folder / ATTEMPT_FILE
    if not path.exists():
        return 0
    try:
        started = StartedAttempt.model_validate(json.loads(path.read_text()))
    except ValueError as error:
        raise OutputConflict(f"{path} cannot be read: {error}") from error
    return started.attempt if started.uid == uid else 0
