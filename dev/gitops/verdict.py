"""Asks the program `gitops-verdict` (go/verdict) what GitOps tools say of objects."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dev.cluster.build import build
from dev.cluster.layout import bin_dir

PROGRAM = "gitops-verdict"


def run_lua(script: Path, objects: Sequence[dict[str, Any]]) -> list[Any]:
    """What a script returns for each object as `obj`, in the interpreter and with the libraries of Argo CD."""
    return _ask(["lua", str(script)], objects)


def kstatus(objects: Sequence[dict[str, Any]]) -> list[str]:
    """The status that kstatus computes of each object: Current, InProgress, Failed or Terminating."""
    return [verdict["status"] for verdict in _ask(["kstatus"], objects)]


def flux_health(expressions: dict[str, str], objects: Sequence[dict[str, Any]]) -> list[str]:
    """The status of each object by the CEL expressions of a Kustomization's `healthCheckExprs`."""
    return [verdict["status"] for verdict in _ask(["flux-health", json.dumps(expressions)], objects)]


def helm_releases(objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Flux's type makes of each HelmRelease; a field that it does not know is an error."""
    return _ask(["helmrelease"], objects)


def _ask(arguments: Sequence[str], objects: Sequence[dict[str, Any]]) -> list[Any]:
    """Raises RuntimeError with the program's own words."""
    build([PROGRAM])
    command = [str(bin_dir() / PROGRAM), *arguments]
    done = subprocess.run(command, input=json.dumps(objects), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")
    answers: list[Any] = json.loads(done.stdout)
    return answers
