"""Whether an object still holds what we want of it. Pure; called by `children`."""

from collections.abc import Mapping
from typing import Any


def holds(live: Any, wanted: Any) -> bool:
    """Whether all of `wanted` is in `live`; what the API server or others added does not matter."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(key in live and holds(live[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(holds(one, other) for one, other in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)
