"""Writes every file that is made from the models; with `--check` it says which are stale and writes none.

Called by `make generate` and `make verify`, in the root of a checkout.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from .crd import crd_yaml
from .reference import job_reference, reasons_reference

COMMAND: Final = "python -m peft_fsdp_api.generate"
_HEADER: Final = f"Made by `{COMMAND}` from operator/peft_fsdp_api; edit that instead."


def generated_files() -> dict[Path, str]:
    """Every generated file, by its path in the repository."""
    return {
        Path("manifests/crd.yaml"): f"# {_HEADER}\n{crd_yaml()}",
        Path("helm/peft-fsdp-operator/templates/crd.yaml"): chart_template(crd_yaml()),
        Path("docs/reference.md"): f"<!-- {_HEADER} -->\n\n{job_reference()}",
        Path("docs/reasons.md"): f"<!-- {_HEADER} -->\n\n{reasons_reference()}",
    }


def chart_template(manifest: str) -> str:
    """The CRD as a template of the chart: optional, and kept with its jobs when the release is removed."""
    literal = manifest.replace("{{", '{{ "{{" }}')
    annotations = "  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"
    head, metadata, rest = literal.partition("metadata:\n")
    body = f"{head}{metadata}{annotations}{rest}"
    return f"{{{{- /* {_HEADER} */ -}}}}\n{{{{- if .Values.crds.install }}}}\n{body}{{{{- end }}}}\n"


def stale_files(root: Path) -> dict[Path, str]:
    """The generated files below `root` that are missing or not what the models make, with their right content."""
    return {
        path: content
        for path, content in generated_files().items()
        if not (root / path).is_file() or (root / path).read_text() != content
    }


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 with `--check` where a file is stale."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; list what is stale")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the checkout")
    options = parser.parse_args(arguments)
    stale = stale_files(options.root)
    for path, content in stale.items():
        if options.check:
            sys.stderr.write(f"{path} is stale: run `{COMMAND}`\n")
            continue
        (options.root / path).parent.mkdir(parents=True, exist_ok=True)
        (options.root / path).write_text(content)
        sys.stdout.write(f"{path}\n")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
