"""What a checkpoint has in common with every run that goes on from it. Used by `checkpoint`.

On a cluster the spec of a job that has started is fixed, but its data is not; `peft-fsdp run` takes whatever its file
says by now. Another rank of the adapter would read as damage, and another seed or other rows as nothing at all.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from peft_fsdp_api.trainer_config import TrainerConfig

from .data import PreparedData
from .errors import DatasetInvalid, Unsupported

FIXED: Final = (
    "model.source",
    "dataset.trainSplit",
    "dataset.format",
    "dataset.textField",
    "dataset.chatTemplate",
    "dataset.maxLength",
    "dataset.packing",
    "dataset.loss",
    "lora.rank",
    "lora.alpha",
    "lora.targets",
    "lora.variant",
    "lora.modulesToSave",
    "fsdp.version",
    "training.seed",
)
"""Fields that say which adapter is trained on what, in which order of rows, and how its tensors are written."""
ANEW: Final = "or give another output.path to begin anew"


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint comes from."""

    fields: dict[str, Any]
    """The fixed fields of the job by their names."""
    rows: str | None
    """Hash of the prepared rows; None where they are streamed, of which each rank's cursor tells."""

    @classmethod
    def of(cls, config: TrainerConfig, data: PreparedData) -> Self:
        """The origin of what this run saves."""
        wire = config.to_wire()
        train = data.facts.train
        return cls({path: _at(wire, path) for path in FIXED}, train.content if train else None)

    def facts(self) -> dict[str, Any]:
        """To be written down with a checkpoint."""
        return {"fields": self.fields, "rows": self.rows}

    def check(self, name: str, facts: dict[str, Any]) -> None:
        """Pass where this run may go on from the checkpoint `name` with these facts.

        What an older version of the trainer did not write down cannot be compared, and stops nobody's run.

        Raises:
            Unsupported: the job is another one by now.
            DatasetInvalid: the rows are.
        """
        fields, rows = facts.get("fields", {}), facts.get("rows")
        changed = {path: fields[path] for path in FIXED if path in fields and fields[path] != self.fields[path]}
        if changed:
            written = ", ".join(f"{path} {_words(value)}" for path, value in changed.items())
            now = ", ".join(_words(self.fields[path]) for path in changed)
            back = " and ".join(f"{path} to {_words(value)}" for path, value in changed.items())
            raise Unsupported(f"{name} was written with {written}, this is {now}", hint=f"Set {back} to go on, {ANEW}.")
        if None not in (rows, self.rows) and rows != self.rows:
            raise DatasetInvalid(
                f"the data is not what it was when {name} was written: rows were added, removed or changed",
                hint=f"Give the data back its state (a fixed dataset.revision on the Hub), {ANEW}.",
            )


def _at(wire: dict[str, Any], path: str) -> Any:
    section, name = path.split(".")
    return wire[section].get(name)


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
