"""The cluster the demo runs on: the one-machine cluster, or the one that KUBECONFIG and IMAGE_REGISTRY name."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dev.cluster.layout import bin_dir


class DemoError(Exception):
    """Something that stops the demo, in a sentence for the person who started it."""


@dataclass(frozen=True)
class Access:
    """A cluster with the programs to speak to it."""

    kubeconfig: Path
    kubectl: str
    helm: str

    def run(self, *arguments: str, input: str | bytes | None = None, check: bool = True) -> str:
        """Standard output of kubectl. Raises DemoError with what kubectl said, unless `check` is off."""
        return self._call([self.kubectl, *arguments], input, check)

    def run_helm(self, *arguments: str, check: bool = True) -> str:
        """Standard output of helm. Raises DemoError with what helm said, unless `check` is off."""
        return self._call([self.helm, *arguments], None, check)

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object or a list as data; empty where it does not exist."""
        text = self.run("get", *arguments, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else {}

    def apply(self, manifest: str) -> None:
        """Apply YAML or JSON text."""
        self.run("apply", "-f", "-", input=manifest)

    def wait_for(self, what: str, ready: Callable[[Self], bool], timeout: float) -> None:
        """Look every half second until `ready` holds. Raises DemoError naming `what` after `timeout` seconds."""
        end = time.monotonic() + timeout
        while not ready(self):
            if time.monotonic() > end:
                raise DemoError(f"{what}: not there after {timeout:.0f} s")
            time.sleep(0.5)

    def _call(self, command: list[str], data: str | bytes | None, check: bool) -> str:
        payload = data.encode() if isinstance(data, str) else data
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        result = subprocess.run(command, input=payload, capture_output=True, env=environment)
        if check and result.returncode != 0:
            raise DemoError(f"{Path(command[0]).name} {' '.join(command[1:])}: {result.stderr.decode().strip()}")
        return result.stdout.decode()


@dataclass(frozen=True)
class Target(Access):
    """A cluster that can pull the images of this checkout."""

    operator_image: str
    trainer_image: str
    access_mode: str
    """Of the demo's claims."""


def program(name: str) -> str:
    """The program from the cluster's own build, or else from PATH. Raises DemoError when it is in neither."""
    built = bin_dir() / name
    found = str(built) if built.exists() else shutil.which(name)
    if found is None:
        raise DemoError(f"{name} is neither built nor on PATH: run `make tools` or install it")
    return found
