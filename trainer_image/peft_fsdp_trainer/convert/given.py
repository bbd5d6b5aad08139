"""What was said on a command line or in an Accelerate file, row of a table by row. Made by the two readers."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from peft_fsdp_api.schema import Problem

from .setting import Setting

_HIDDEN: Final = "(hidden)"


@dataclass(frozen=True)
class Said:
    """A flag or key with its value."""

    setting: Setting
    written: str
    """The name that was written, which may be another name of the row."""
    text: str
    value: Any

    @property
    def shown(self) -> str:
        """Name and value as the user knows them."""
        return f"{self.written} {_HIDDEN if self.setting.secret else self.text}".rstrip()


@dataclass
class Given:
    """Everything that one source says, by the key of its row, and what is wrong with it."""

    said: dict[str, Said] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, setting: Setting, written: str, text: str) -> None:
        """Take a value, or note what is wrong with it."""
        try:
            value = setting.reader.read(text)
        except ValueError:
            shown = _HIDDEN if setting.secret else f'"{text}"'
            self.problems.append(Problem(written, f"must be {setting.reader.wanted}; it is {shown}"))
            return
        before = self.said.get(setting.key)
        said = Said(setting, written, text, value)
        if before is not None and before.written != written and before.value != value:
            self.problems.append(Problem(written, f"says {text}, but {before.shown} means the same flag; remove one"))
        elif before is not None:
            self.remarks.append(f"{written} is given twice; the last one counts, as for the script.")
        self.said[setting.key] = said

    def refuse(self, written: str, message: str) -> None:
        """Note a problem with a flag or key."""
        self.problems.append(Problem(written, message))


def unknown(written: str, kind: str, table: Mapping[str, Setting]) -> str:
    """The sentence about a name that is in no table, with the nearest one that is."""
    nearest = difflib.get_close_matches(written, table, n=1, cutoff=0.6)
    return f"is no {kind} that convert knows" + (f"; did you mean {nearest[0]}?" if nearest else "")


def by_name(settings: Iterable[Setting]) -> dict[str, Setting]:
    """The rows of a table by the names that may be written."""
    return {setting.name: setting for setting in settings}
