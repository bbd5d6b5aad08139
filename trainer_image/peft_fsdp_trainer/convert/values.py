"""How the text of a flag or of a key becomes a value. Used by the two tables of this package."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_YES: Final = frozenset({"true", "yes", "t", "y", "1", "on"})
_NO: Final = frozenset({"false", "no", "f", "n", "0", "off"})


@dataclass(frozen=True)
class Reader:
    """Reads one kind of value. `read` raises ValueError for any other text; `wanted` says what it takes."""

    wanted: str
    read: Callable[[str], Any]
    is_switch: bool = False
    """The flag may stand alone, which means yes."""


def _yes_or_no(text: str) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise ValueError(text)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError(text)
    return names


def one_of(choices: Mapping[str, Any], else_say: str = "") -> Reader:
    """One of a few words, whatever their case; each stands for a value of the job."""

    def read(text: str) -> Any:
        lowered = {word.lower(): value for word, value in choices.items()}
        if text.lower() not in lowered:
            raise ValueError(text)
        return lowered[text.lower()]

    wanted = ", ".join(choices) if len(choices) == 1 else f"one of {', '.join(choices)}"
    return Reader(f"{wanted}; {else_say}" if else_say else wanted, read)


def only(wanted: bool, otherwise: str) -> Reader:
    """A switch of which one position is possible here."""

    def read(text: str) -> bool:
        if _yes_or_no(text) is not wanted:
            raise ValueError(text)
        return wanted

    return Reader(f"{wanted}; {otherwise}", read, is_switch=True)


def nothing(instead: str) -> Reader:
    """What must be left out or empty; `instead` says where a job has it, if anywhere."""

    def read(text: str) -> None:
        if text not in ("", "null", "{}", "[]"):
            raise ValueError(text)

    return Reader(f"left out or empty; {instead}", read)


TEXT: Final = Reader("a text", str)
SWITCH: Final = Reader("True or False", _yes_or_no, is_switch=True)
WHOLE: Final = Reader("a whole number", int)
NUMBER: Final = Reader("a number", float)
NAMES: Final = Reader("names with commas between them", _names)
