"""The scripts for Argo CD as settings that a user adds: `python -m dev.gitops.argocd [--check]`.

The scripts lie in Argo CD's own layout; whoever does not build Argo CD pastes them into its ConfigMap `argocd-cm`, or
into the values of its chart. Called by `make generate` and `make verify`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from peft_fsdp_api.names import GROUP, KIND

FOLDER: Final = Path(__file__).parents[2] / "manifests" / "gitops" / "argocd"
SCRIPTS: Final = FOLDER / GROUP / KIND
ACTIONS: Final = ("suspend", "resume", "stop")
MADE: Final = "# Made by `make generate` from {scripts}; do not edit.\n"
PATCH_USE: Final = (
    "# kubectl patch configmap argocd-cm -n argocd --patch-file argocd-cm.yaml, or a patch of a kustomization.\n"
)
VALUES_USE: Final = "# For the chart argo-cd: helm upgrade ... --values argocd-values.yaml\n"


def settings() -> dict[str, str]:
    """The two entries of `argocd-cm`."""
    actions = {
        "discovery.lua": _read("actions/discovery.lua"),
        "definitions": [{"name": name, "action.lua": _read(f"actions/{name}/action.lua")} for name in ACTIONS],
    }
    return {
        f"resource.customizations.health.{GROUP}_{KIND}": _read("health.lua"),
        f"resource.customizations.actions.{GROUP}_{KIND}": _dump(actions),
    }


def generated_files() -> Iterator[tuple[Path, str]]:
    """(file, what should stand in it)."""
    made = MADE.format(scripts=SCRIPTS.relative_to(FOLDER))
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": settings()}
    yield FOLDER / "argocd-cm.yaml", made + PATCH_USE + _dump(config)
    yield FOLDER / "argocd-values.yaml", made + VALUES_USE + _dump({"configs": {"cm": settings()}})


def _read(name: str) -> str:
    return (SCRIPTS / name).read_text()


class _Dumper(yaml.SafeDumper):
    """Scripts as blocks, so that they can be read."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.gitops.argocd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    check, stale = parser.parse_args().check, False
    for path, text in generated_files():
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale = True
            print(f"{path} is not up to date: run `make generate`", file=sys.stderr)
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
