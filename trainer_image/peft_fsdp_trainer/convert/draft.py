"""The job while it is being made: fields by path, and where each came from. Filled by `rules`."""

from collections.abc import Mapping
from typing import Any

from peft_fsdp_api.schema import Problem

from .given import Said


class Draft:
    """Fields below `spec` by path, what gave them, what gave nothing and why, and what is wrong."""

    def __init__(self, said: Mapping[str, Said]) -> None:
        self.said = said
        self.fields: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        """Field or section -> the flags and keys it stands for."""
        self.idle: list[tuple[str, str]] = []
        """Flag or key with its value, and why nothing in the job stands for it."""
        self.choices: list[str] = []
        """What neither flags nor file say, and was chosen."""
        self.problems: list[Problem] = []
        self._spoken: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether the flag or key was given."""
        return name in self.said

    def value(self, name: str, otherwise: Any = None) -> Any:
        """The value of a flag or key."""
        return self.said[name].value if name in self.said else otherwise

    def put(self, path: str, value: Any, *names: str) -> None:
        """Set a field for the sake of these flags and keys."""
        self.fields[path] = value
        self.explain(path, *names)

    def explain(self, path: str, *names: str) -> None:
        """These flags and keys, where given, are what the field or section stands for."""
        written = [self.said[name].written for name in names if name in self.said]
        if written:
            self.origins[path] = ", ".join(written)
        self._spoken.update(names)

    def drop(self, name: str, why: str) -> None:
        """Say that a flag or key, where given, has no part in this job."""
        if name in self.said:
            self.idle.append((self.said[name].shown, why))
            self._spoken.add(name)

    def refuse(self, name: str, message: str) -> None:
        """Note a problem with a flag or key."""
        self.problems.append(Problem(self.said[name].written if name in self.said else name, message))
        self._spoken.add(name)

    @property
    def unspoken(self) -> list[str]:
        """What was given and went nowhere; there must be nothing like that at the end."""
        return [said.shown for name, said in self.said.items() if name not in self._spoken]
