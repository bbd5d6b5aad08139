"""Build the cluster's programs with Go; again only when a program's source, version or recipe changes."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.layout import bin_dir, cache_dir
from dev.cluster.preflight import check_go
from dev.cluster.progress import run_logged, say, step
from dev.cluster.versions import Component, components


def build(names: Iterable[str] = ()) -> None:
    """Build the named components, or all of them. One process at a time builds; the others wait and find it done."""
    wanted = _select(names)
    if all(is_built(component) for component in wanted):
        return
    check_go()
    bin_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for component in wanted:
            if is_built(component):
                say(f"{component.name}: cached")
            else:
                _build(component)


def is_built(component: Component) -> bool:
    key = _key_file(component)
    return key.exists() and key.read_text() == content_key(component) and (bin_dir() / component.name).exists()


def content_key(component: Component) -> str:
    """Changes whenever a rebuild could give another program."""
    digest = hashlib.sha256(repr(component).encode())
    if component.package.startswith("./"):
        sources = sorted((component.module / component.package).glob("*.go"))
        for path in (component.module / "go.mod", component.module / "go.sum", *sources):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _select(names: Iterable[str]) -> list[Component]:
    known = components()
    chosen = list(names) or list(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ClusterError(f"no component {', '.join(unknown)}: there are {', '.join(known)}")
    return [known[name] for name in chosen]


def _build(component: Component) -> None:
    title = f"building {component.name} (from nothing: {component.cold_build})"
    log = cache_dir() / "logs" / f"build-{component.name}.log"
    staging = cache_dir() / "staging" / component.name
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    with step(title):
        run_logged(_command(component, staging), log, title, env=_environment(staging), cwd=component.module)
    # Only a finished program takes the name; running instances keep the file they were started from.
    (staging / component.name).replace(bin_dir() / component.name)
    staging.rmdir()
    _link(component)
    _key_file(component).write_text(content_key(component))


def _command(component: Component, staging: Path) -> list[str]:
    flags = ["-trimpath", f"-ldflags=-s -w {component.linker_flags}"]
    if component.package.startswith("./"):
        return ["go", "build", *flags, "-o", str(staging / component.name), component.package]
    return ["go", "install", *flags, component.package]


def _environment(staging: Path) -> dict[str, str]:
    return os.environ | {"CGO_ENABLED": "0", "GOBIN": str(staging)}


def _link(component: Component) -> None:
    for name in component.links:
        link = bin_dir() / name
        link.unlink(missing_ok=True)
        link.symlink_to(component.name)


def _key_file(component: Component) -> Path:
    return bin_dir() / f".{component.name}.key"
