"""Somebody who writes to one job without end, so that every status write of the operator meets a conflict.

`python -m tests.bench.scale.conflicts KUBECONFIG NAMESPACE NAME`, until it is stopped.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from tests.bench.api import connect
from tests.bench.scale.objects import jobs_path

PAUSE = 0.02


async def disturb(kubeconfig: Path, namespace: str, name: str) -> None:
    """An annotation that changes fifty times a second."""
    async with connect(kubeconfig) as api:
        for number in itertools.count():
            annotations = {"bench.example/number": str(number)}
            await api.patch(jobs_path(namespace, name), {"metadata": {"annotations": annotations}})
            await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    asyncio.run(disturb(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
