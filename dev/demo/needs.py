"""`python3 -m dev.demo.needs`: what `make demo` misses on this machine, all at once, before anything is installed.

The Makefile runs it with the system's Python: what is imported here stays within the standard library, and so does what
that imports.
"""

import os
import sys
from collections.abc import Mapping

from dev.cluster.build import is_built
from dev.cluster.preflight import full_problems, go_problems
from dev.cluster.progress import say
from dev.cluster.versions import FULL_CLUSTER, components
from dev.demo.target import DemoError, program
from dev.demo.yours import named_cluster


def main() -> int:
    problems = missing(os.environ)
    for problem in problems:
        say(f"error: {problem}")
    return 1 if problems else 0


def missing(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each thing that is not there."""
    try:
        yours = named_cluster(environment)
        if yours is not None:
            program("kubectl")
    except DemoError as error:
        return [str(error), *full_problems()]
    known = components()
    wanted = FULL_CLUSTER if yours is None else ("helm",)
    built = all(is_built(known[name]) for name in wanted)
    return [*full_problems(), *([] if built else go_problems())]


if __name__ == "__main__":
    sys.exit(main())
