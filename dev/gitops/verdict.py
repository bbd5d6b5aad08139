"""Asks the program `gitops-verdict` (go/verdict) what kstatus says of objects."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from dev.cluster.build import build
from dev.cluster.layout import bin_dir

PROGRAM = "gitops-verdict"


def kstatus(objects: Sequence[dict[str, Any]]) -> list[str]:
    """The status that kstatus computes of each object: Current, InProgress, Failed or Terminating."""
    build([PROGRAM])
    command = [str(bin_dir() / PROGRAM), "kstatus"]
    done = subprocess.run(command, input=json.dumps(objects), capture_output=True, text=True, check=True)
    return [verdict["status"] for verdict in json.loads(done.stdout)]
