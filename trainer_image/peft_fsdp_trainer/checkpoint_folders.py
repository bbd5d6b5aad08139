"""The checkpoint folders on the volume: which are committed, whether they are whole, which go. Used by `checkpoint`.

A folder `step-<n>` counts when its `committed.json` is there, which is written last and lists every other file with its
size. It is written under another name with the attempt in it, so that an old attempt that still lives never writes into
the folder of a newer one. What was cut short goes; what is committed and not whole is named and never used.
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .errors import TrainerError
from .log import LOGGER
from .output import Output
from .report import timestamp

COMMITTED: Final = "committed.json"
DAMAGED: Final = "damaged.json"
FILES: Final = "files"


@dataclass(frozen=True)
class CheckpointFolders:
    """The checkpoints of one output. All but `facts` and `of_step` are for rank 0 alone."""

    output: Output

    def of_step(self, step: int) -> Path:
        """The folder of a step's checkpoint."""
        return self.output.checkpoints / f"step-{step:08d}"

    def facts(self, folder: Path) -> dict[str, Any]:
        """What was written down when the folder was committed."""
        facts: dict[str, Any] = json.loads((folder / COMMITTED).read_text())
        return facts

    def commit(self, partial: Path, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
        """Add the marker, whose content is returned, and give `partial` its name; from then on it counts.

        Raises Superseded where a newer attempt has started, OutputConflict where the output is another job's by now.
        """
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        sizes = {str(path.relative_to(partial)): path.stat().st_size for path in files}
        committed = {**facts, "time": timestamp(time.time()), FILES: sizes}
        (partial / COMMITTED).write_text(json.dumps(committed))
        if folder.exists():  # damaged, and trained again
            self.output.confirm()
            _remove(folder)
        self.output.end_folder(partial, folder)
        return committed

    def prune(self, keep: int, read: Path | None = None) -> None:
        """Remove all but the newest `keep` committed ones, and but the one in which `read` lies."""
        with self.output.fence.around():
            for old in self._committed()[:-keep]:
                if read is not None and read.is_relative_to(old):
                    continue
                self.output.confirm()
                _remove(old)

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole. Removes what was never completed, and names what is damaged.

        Raises TrainerError where there are only damaged ones: whether to begin anew is not for a program to decide.
        """
        self.output.confirm()
        for folder in self._unfinished():
            LOGGER.info("removing %s: it was never completed", self.output.in_volume(folder))
            shutil.rmtree(folder)
        for folder in reversed(self._committed()):
            problem = self._problem(folder)
            if problem is None:
                return folder
            self.mark_damaged(folder, problem)
        damaged = self._with(DAMAGED, present=True)
        if damaged:
            raise TrainerError(
                f"no checkpoint is left to resume from: {self.output.in_volume(damaged[-1])} is damaged",
                hint=f"Restore its files and rename {DAMAGED} to {COMMITTED}, or remove the folder "
                f"{self.output.in_volume(self.output.checkpoints)} to begin anew.",
            )
        return None

    def mark_damaged(self, folder: Path, problem: str) -> None:
        """Say that a committed checkpoint cannot be used, and take it out of those that count."""
        LOGGER.warning("%s is damaged and will not be used: %s", self.output.in_volume(folder), problem)
        (folder / COMMITTED).rename(folder / DAMAGED)

    def _unfinished(self) -> list[Path]:
        """What was cut short, and folders that lost their marker."""
        unmarked = [folder for folder in self._with(DAMAGED, present=False) if not (folder / COMMITTED).exists()]
        return [*self.output.unfinished(self.output.checkpoints, "step-*"), *unmarked]

    def _problem(self, folder: Path) -> str | None:
        """The first file that is missing or cut short; None for a folder that is whole."""
        try:
            files: dict[str, int] = self.facts(folder)[FILES]
        except (ValueError, KeyError) as error:
            return f"{COMMITTED} cannot be read ({error})"
        for name, size in files.items():
            path = folder / name
            if not path.exists():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size} bytes, not {size}"
        return None

    def _committed(self) -> list[Path]:
        """Folders with a commit marker, oldest first."""
        return self._with(COMMITTED, present=True)

    def _with(self, marker: str, present: bool) -> list[Path]:
        folders = sorted(self.output.checkpoints.glob("step-*"))
        return [folder for folder in folders if (folder / marker).exists() is present]


def _remove(folder: Path) -> None:
    """The marker goes first, so that a removal that is cut short leaves nothing that looks complete."""
    (folder / COMMITTED).unlink(missing_ok=True)
    (folder / DAMAGED).unlink(missing_ok=True)
    shutil.rmtree(folder)
