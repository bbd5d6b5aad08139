"""Where things lie: what is kept between runs (cache) and what an instance owns while it runs (state).

Every other module asks here for its paths, so `down` knows that removing one folder removes all of an instance.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError

# containerd's socket lies below the state folder, and a socket's path may hold 107 characters.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def cache_dir() -> Path:
    """Programs, base images, image storage: expensive to make, safe to delete while no cluster runs."""
    return Path(os.environ.get("PEFT_FSDP_CACHE") or Path.home() / ".cache" / "peft-fsdp")


def bin_dir() -> Path:
    return cache_dir() / "bin"


def state_root() -> Path:
    return Path(os.environ.get("PEFT_FSDP_STATE") or "/var/lib/peft-fsdp-cluster")


@dataclass(frozen=True)
class Layout:
    """The folders and files of one instance."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ClusterError(f"--name {self.name!r}: lower-case letters, digits and dashes, at most 32 characters")

    @property
    def root(self) -> Path:
        return state_root() / self.name

    @property
    def record(self) -> Path:
        return self.root / "instance.json"

    @property
    def lock(self) -> Path:
        """Beside the folder, not in it: `down` removes the folder while it holds the lock."""
        return state_root() / f".{self.name}.lock"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.root / "logs" / "audit.log"

    @property
    def certificates(self) -> Path:
        return self.root / "pki"

    @property
    def configuration(self) -> Path:
        return self.root / "etc"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    def pid_file(self, program: str) -> Path:
        return self.root / "pids" / f"{program}.json"

    def log(self, program: str) -> Path:
        return self.root / "logs" / f"{program}.log"

    def configure(self, file_name: str, text: str) -> Path:
        """Write a configuration file of a program and return its path."""
        path = self.configuration / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        # One that says the same stays untouched: kube-proxy ends when its file is written to.
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        return path


def known_instances() -> list[str]:
    """Names of the instances that have a folder, running or not."""
    if not state_root().is_dir():
        return []
    return sorted(path.name for path in state_root().iterdir() if path.is_dir())
