"""The CRDs of Flux and Argo CD, out of their Go modules, so that a real API server can judge our examples for them.

Nothing of theirs is kept in this repository. Called by the tests.
"""

import json
import subprocess
from pathlib import Path
from typing import Final

from dev.cluster.preflight import check_go

KUSTOMIZE: Final = "github.com/fluxcd/kustomize-controller@v1.9.6"
SOURCE: Final = "github.com/fluxcd/source-controller@v1.9.6"
ARGOCD: Final = "github.com/argoproj/argo-cd/v3@v3.5.3"
CRDS: Final = (
    (KUSTOMIZE, "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
    (SOURCE, "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"),
    (ARGOCD, "manifests/crds/application-crd.yaml"),
)


def crd_files() -> list[Path]:
    """One file for each kind, downloaded with the modules once. Raises RuntimeError with Go's own words."""
    check_go()
    return [_folder(module) / path for module, path in CRDS]


def _folder(module: str) -> Path:
    command = ["go", "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=Path(__file__).parent / "go", capture_output=True, text=True)
    told = json.loads(done.stdout or "{}")
    if "Dir" not in told:
        raise RuntimeError(f"go mod download {module}: {told.get('Error') or done.stderr.strip()}")
    return Path(told["Dir"])
