"""The base image of the one-machine cluster: Debian with Python, unpacked by debootstrap, because no public registry
need be reachable. Everywhere else the Dockerfiles' own default base is used."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from dev.cluster.layout import cache_dir
from dev.cluster.progress import run_logged, step
from dev.images.storage import buildah, has_local_image

_SUITE = "bookworm"
_PACKAGES = ("ca-certificates", "g++", "python3", "python3-dev", "python3-venv")
_PUBLIC_MIRROR = "http://deb.debian.org/debian"


def base_image() -> str:
    """Name of the base in the local storage, made on first use."""
    recipe = hashlib.sha256(repr((_SUITE, _PACKAGES)).encode()).hexdigest()[:8]
    name = f"localhost/peft-fsdp-base:{_SUITE}-{recipe}"
    if not has_local_image(name):
        _commit(_root_filesystem(recipe), name)
    return name


def _root_filesystem(recipe: str) -> Path:
    """Kept, so that losing the image storage does not cost the download."""
    root = cache_dir() / "base" / f"{_SUITE}-{recipe}"
    if root.exists():
        return root
    unfinished = root.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(_PACKAGES)}",
        _SUITE,
        str(unfinished),
        _mirror(),
    ]
    with step("base image: Debian packages"):
        run_logged(command, cache_dir() / "logs" / "debootstrap.log", "debootstrap")
    _forget_the_machine(unfinished)
    unfinished.rename(root)
    return root


def _mirror() -> str:
    """Where this machine's own apt gets the same Debian release from; else the public mirror."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)"], capture_output=True, text=True
    ).stdout
    match = re.search(rf"^{_SUITE} (\S+/debian/?)$", listing, re.MULTILINE)
    return match.group(1) if match else _PUBLIC_MIRROR


def _forget_the_machine(root: Path) -> None:
    """debootstrap copies name servers, the host's name and the mirror's address; an image holds none of them."""
    (root / "etc/apt/sources.list").write_text(f"deb {_PUBLIC_MIRROR} {_SUITE} main\n")
    for name in ("etc/resolv.conf", "etc/hostname"):
        (root / name).write_text("")
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log", "tmp"):
        for path in (root / folder).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _commit(root: Path, name: str) -> None:
    with step("base image: packing"):
        container = buildah("from", "scratch").strip()
        buildah("copy", "--quiet", container, f"{root}/", "/")
        buildah("commit", "--quiet", "--rm", container, name)
