"""Whom the output folder belongs to, and putting finished folders into place in one move. Called on rank 0 only.

An output never holds half an adapter: folders are written beside their place, under a name with the attempt in it,
and renamed when they are complete.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peft_fsdp_api.names import (
    ADAPTER_DIRECTORY,
    CHECKPOINTS_DIRECTORY,
    ENV_ATTEMPT,
    MERGED_DIRECTORY,
    OWNER_FILE,
)
from peft_fsdp_api.trainer_config import JobIdentity, TrainerConfig, TrainerPaths

from .errors import OutputConflict
from .fence import Fence
from .flush import flush, flush_tree
from .write_access import naming_unwritable


@dataclass(frozen=True)
class Output:
    """The folder that a job writes to."""

    folder: Path
    volume: Path
    job: JobIdentity
    attempt: int

    @property
    def adapter(self) -> Path:
        """Where the finished adapter lies; it exists only complete."""
        return self.folder / ADAPTER_DIRECTORY

    @property
    def merged(self) -> Path:
        """Where the merged model lies; it exists only complete."""
        return self.folder / MERGED_DIRECTORY

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.folder / CHECKPOINTS_DIRECTORY

    @property
    def fence(self) -> Fence:
        """What tells whether a newer attempt of the job has started here."""
        return Fence(self.folder, self.job.uid, self.attempt)

    def in_volume(self, path: Path) -> str:
        """A path as the status names it: relative to the output claim."""
        return str(path.relative_to(self.volume))

    def claim(self) -> None:
        """Make the folder this job's own, and this attempt the newest that has started on it.

        Raises:
            OutputConflict: an adapter, a merged model or checkpoints of another job lie there. A folder that another
                job left without any of them is taken over.
            Superseded: a newer attempt has started already.
            VolumeNotWritable: nothing can be written there.
        """
        with naming_unwritable(self.folder, "output.claim"):
            self._claim()

    def _claim(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = self._owner()
        if owner is not None and owner.uid == self.job.uid:
            self.fence.check()
            return
        held = [path for path in (self.adapter, self.merged, self.checkpoints) if path.exists()]
        if held:
            whose = f"job {owner.namespace}/{owner.name}" if owner else "something else"
            raise OutputConflict(
                f"{self.in_volume(held[0])} already exists and was written by {whose}, not by "
                f"{self.job.namespace}/{self.job.name} (uid {self.job.uid})"
            )
        self.fence.check()
        path = self._owner_path()
        partial = path.with_suffix(f".partial-{self.attempt}")
        partial.write_text(self.job.model_dump_json(by_alias=True))
        partial.replace(path)

    def confirm(self) -> None:
        """To be called before anything that lasts is written, moved or removed.

        Raises:
            OutputConflict: another job has taken the folder over in the meantime.
            Superseded: a newer attempt of this job has started.
        """
        owner = self._owner()
        if owner is None or owner.uid != self.job.uid:
            raise OutputConflict(
                f"{self.in_volume(self.folder)} was taken over by another job while this one ran: "
                f"{owner.name if owner else 'its owner file is gone'}"
            )
        self.fence.check()

    @contextmanager
    def complete_folder(self, place: Path) -> Iterator[Path]:
        """A folder to write into, which becomes `place` in one move when the block ends without an error."""
        with self.fence.around():
            partial = self.begin_folder(place)
            yield partial
            self.end_folder(partial, place)

    def begin_folder(self, place: Path) -> Path:
        """An empty folder beside `place`, for several ranks to write into. Raises as `confirm` does."""
        self.confirm()
        for stale in self.unfinished(place.parent, place.name):
            shutil.rmtree(stale)
        partial = place.with_name(f".{place.name}.partial-{self.attempt}")
        partial.mkdir(parents=True)
        return partial

    def unfinished(self, folder: Path, name: str) -> list[Path]:
        """What this attempt or older ones have begun in `folder` for places of this name (a pattern). An older one
        may still be alive; it is fenced, and stops when it misses its folder."""
        begun = folder.glob(f".{name}.partial-*")
        return sorted(partial for partial in begun if int(partial.name.rpartition("-")[2]) <= self.attempt)

    def end_folder(self, partial: Path, place: Path) -> None:
        """Move a finished folder to its place. Raises as `confirm` does; nothing that lies there is replaced."""
        flush_tree(partial)
        self.confirm()
        partial.rename(place)
        flush(place.parent)

    def _owner_path(self) -> Path:
        return self.folder / OWNER_FILE

    def _owner(self) -> JobIdentity | None:
        path = self._owner_path()
        if not path.exists():
            return None
        try:
            return JobIdentity.model_validate(json.loads(path.read_text()))
        except ValueError as error:
            raise OutputConflict(f"{self.in_volume(path)} cannot be read: {error}") from error


def open_output(config: TrainerConfig) -> Output:
    """The output folder of a run."""
    paths: TrainerPaths = config.paths
    return Output(
        folder=Path(paths.output),
        volume=Path(paths.volume),
        job=config.job,
        attempt=int(os.environ.get(ENV_ATTEMPT, "1")),
    )
