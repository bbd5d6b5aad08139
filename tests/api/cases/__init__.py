"""The cases that pydantic and the API server must judge alike: `tests/api` and `tests/apiserver` both read them.

A case changes the minimal job. `invalid.yaml` also says which field is to blame and a piece of the sentence about it.
"""

from copy import deepcopy
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

from peft_fsdp_api.manifest import load_documents

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "manifests" / "examples"


@dataclass(frozen=True)
class Case:
    """A change of the minimal job and, where it is invalid, what must be said about it."""

    name: str
    change: dict[str, Any] = dataclass_field(default_factory=dict)
    """Merged into the spec; null stays null."""
    metadata: dict[str, Any] = dataclass_field(default_factory=dict)
    top: dict[str, Any] = dataclass_field(default_factory=dict)
    remove: str = ""
    """A section of the spec to leave out."""
    field: str = ""
    server_field: str = ""
    """The field as the API server spells it, where it does so differently."""
    says: str = ""

    @property
    def job(self) -> dict[str, Any]:
        job = merged(minimal_job(), {"spec": self.change, "metadata": self.metadata, **self.top})
        job["spec"].pop(self.remove, None)
        return job


def minimal_job() -> dict[str, Any]:
    """The shortest job there is: `manifests/examples/minimal.yaml`."""
    [job] = load_documents((EXAMPLES / "minimal.yaml").read_text())
    return dict(job)


def valid_cases() -> list[Case]:
    return _cases("valid.yaml")


def invalid_cases() -> list[Case]:
    return _cases("invalid.yaml")


def merged(target: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`change` over `target`, object by object."""
    result = deepcopy(target)
    for key, value in change.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _cases(file: str) -> list[Case]:
    [entries] = load_documents((HERE / file).read_text())
    return [Case(**entry) for entry in entries]
