"""The files that a user of Flux or Argo CD starts from."""

from pathlib import Path
from typing import Any

from dev.gitops.argocd import SCRIPTS
from peft_fsdp_api.manifest import load_documents

FOLDER = SCRIPTS.parents[2]
EXAMPLES = sorted([*FOLDER.glob("flux/*.yaml"), *FOLDER.glob("argocd/*.yaml")])


def documents(path: Path) -> list[dict[str, Any]]:
    return [dict(one) for one in load_documents(path.read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for path in EXAMPLES for one in documents(path) if one.get("kind") == kind]
