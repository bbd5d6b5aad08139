"""The first thing that runs: a request to stop that comes while the modules load must not be lost.

The kernel throws a signal away that the first process of a container has no handler for, and the kubelet sends SIGTERM
only once: a pod deleted in its first second would train on until its grace period is over. A blocked signal waits.
"""

import os
import signal


def main() -> int:
    """The command `peft-fsdp`. Its exit code."""
    if os.getpid() == 1:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    from .cli import main as command

    return command()
