"""Reads the flags of the guide's script as its own parser does. Called by `conversion`."""

from collections.abc import Sequence

from .given import Given, by_name, unknown
from .script_flags import FLAGS
from .setting import Setting

_TABLE = by_name(FLAGS)


def read_arguments(words: Sequence[str]) -> Given:
    """What the flags say; the name of the script may stand in front of them."""
    given = Given()
    rest = list(words[1:] if words and words[0].endswith(".py") else words)
    while rest:
        word = rest.pop(0)
        values: list[str] = []
        while rest and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        if not word.startswith("--"):
            given.refuse(word, "is no flag; give what stands after train.py in the guide's command")
            continue
        name, equals, value = word.partition("=")
        _add(given, "--" + name[2:].replace("-", "_"), [value, *values] if equals else values)
    return given


def _add(given: Given, name: str, values: list[str]) -> None:
    setting = _TABLE.get(name)
    if setting is None:
        given.refuse(name, unknown(name, "flag of the guide's script", _TABLE))
    elif not values and not setting.reader.is_switch:
        given.refuse(name, f"needs a value: {setting.reader.wanted}")
    elif len(values) > 1 and not setting.takes_many:
        given.refuse(name, f"takes one value, but it has {len(values)}: {_shown(setting, values)}")
    else:
        given.add(setting, name, ",".join(values) if values else "True")


def _shown(setting: Setting, values: list[str]) -> str:
    return "(hidden)" if setting.secret else " ".join(values)
