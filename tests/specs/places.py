"""Every place of the spec that a generator can change, with what its schema says; and values that belong there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any

from peft_fsdp_api.crd import spec_tree
from tests.api.cases import valid_cases

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A field, the first item of a list or a value of a map. `samples` are values that valid cases have there."""

    path: Path
    node: dict[str, Any]
    samples: tuple[Any, ...]

    @property
    def name(self) -> str:
        """As problems spell it."""
        return spelled(self.path)


def spelled(path: Path) -> str:
    """`("spec", "lora", "targets", 0)` as `spec.lora.targets[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@cache
def places() -> tuple[Place, ...]:
    """All of them, the spec itself first."""
    known: dict[Path, list[Any]] = {}
    for case in valid_cases():
        for path, value in _values(("spec",), case.job["spec"]):
            if value is not None:
                known.setdefault(path, []).append(value)
    return tuple(Place(path, node, tuple(known.get(path, ()))) for path, node in _nodes(("spec",), spec_tree()))


def _nodes(path: Path, node: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from _nodes((*path, name), inner)
    if isinstance(node.get("items"), dict):
        yield from _nodes((*path, 0), node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        yield from _nodes((*path, "example.com/key"), node["additionalProperties"])


def _values(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """What stands at each place; all items of a list count as its first one."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values((*path, key), inner)
    if isinstance(value, list):
        for inner in value:
            yield from _values((*path, 0), inner)


def fitting(place: Place, random: Random) -> Any:
    """A value that the schema of the place allows, or None where nobody knows one."""
    node = place.node
    choices = [*place.samples, *node.get("enum", ())]
    if node.get("type") == "boolean":
        choices += [True, False]
    if node.get("type") in ("integer", "number"):
        choices += list(_numbers_within(node, random))
    return random.choice(choices) if choices else None


def _numbers_within(node: dict[str, Any], random: Random) -> Iterator[int | float]:
    low, high = (node.get(key) for key in ("minimum", "maximum"))
    if node["type"] == "integer":
        yield from (bound for bound in (low, high) if bound is not None)
        if low is not None and high is not None:
            yield random.randint(low, min(high, low + 9))
    else:
        bottom = low if low is not None else node.get("exclusiveMinimum", 0)
        top = high if high is not None else node.get("exclusiveMaximum", bottom + 10)
        yield bottom + (top - bottom) * random.uniform(0.001, 0.999)


def put(job: dict[str, Any], path: Path, value: Any) -> bool:
    """Set `value` at a path, making what leads there. False where something of another type stands in the way."""
    target: Any = job
    for part, following in pairwise(path):
        fresh: Any = [] if isinstance(following, int) else {}
        if not _fits(target, part):
            return False
        if isinstance(target, list) and not target:
            target.append(fresh)
        elif isinstance(target, dict) and target.get(part) is None:
            target[part] = fresh
        target = target[part]
    if not _fits(target, path[-1]):
        return False
    if isinstance(target, list) and not target:
        target.append(value)
    else:
        target[path[-1]] = value
    return True


def _fits(target: Any, part: str | int) -> bool:
    return isinstance(target, list) if isinstance(part, int) else isinstance(target, dict)


def find(job: dict[str, Any], path: Path) -> Any:
    """What stands at a path; None where nothing does."""
    target: Any = job
    for part in path:
        inside = isinstance(target, dict) and part in target
        if not inside and not (isinstance(target, list) and isinstance(part, int) and part < len(target)):
            return None
        target = target[part]
    return target
