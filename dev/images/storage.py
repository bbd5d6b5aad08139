"""buildah with its storage in the cache, apart from what the machine's user keeps in /var/lib/containers."""

import os
import subprocess
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.layout import cache_dir
from dev.cluster.progress import run_logged


def buildah(*arguments: str) -> str:
    result = subprocess.run(_command(arguments), env=_environment(), capture_output=True, text=True)
    if result.returncode != 0:
        raise ClusterError(f"buildah {arguments[0]} failed: {result.stderr.strip()}")
    return result.stdout


def buildah_logged(title: str, *arguments: str, cwd: Path | None = None) -> None:
    log = cache_dir() / "logs" / f"{title.replace(' ', '-')}.log"
    run_logged(_command(arguments), log, title, env=_environment(), cwd=cwd)


def has_local_image(name: str) -> bool:
    return (
        subprocess.run(_command(("inspect", "--type=image", name)), env=_environment(), capture_output=True).returncode
        == 0
    )


def _command(arguments: tuple[str, ...]) -> list[str]:
    storage = cache_dir() / "buildah"
    return [
        "buildah",
        f"--root={storage / 'root'}",
        f"--runroot={storage / 'run'}",
        "--storage-driver=overlay",
        *arguments,
    ]


def _environment() -> dict[str, str]:
    """Isolation `chroot` needs neither a daemon nor user namespaces."""
    return os.environ | {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(_scratch())}


def _scratch() -> Path:
    """Layers of 6 GB do not fit a /tmp in memory."""
    folder = cache_dir() / "buildah" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
