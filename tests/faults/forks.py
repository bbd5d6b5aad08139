"""Operators as processes that start within a tenth of a second: children of one process that has imported everything.

Hundreds of them are killed with -9, and starting Python with kopf costs a second of processor time each time. Run by
`Forks` as `python -m tests.faults.forks`; each line of its input is one operator to start.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.apiserver.operator.world import IMAGE

REQUEST_TIMEOUT = 2.0
"""Seconds in place of the operator's thirty, so that requests that hang do not hold up the tests."""


class Forks:
    """The parent of the operators, as a child of the tests."""

    async def start(self) -> None:
        self._lock = asyncio.Lock()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.forks",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def fork(self, kubeconfig: Path, namespace: str, log: Path, *flags: str, patient: bool = False) -> "Fork":
        """`patient`: it waits for answers as long as the operator that is shipped."""
        given = ["--namespace", namespace, *flags]
        order = {"kubeconfig": str(kubeconfig), "log": str(log), "flags": given, "patient": patient}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return Fork(int(await self._process.stdout.readline()))

    async def close(self) -> None:
        """End of input makes the parent kill what still runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


class Fork:
    """One operator. `ended` is set when it is gone, for whatever reason."""

    def __init__(self, pid: int) -> None:
        self.ended = asyncio.Event()
        self._handle: int | None = None
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self.ended.set()
        else:
            asyncio.get_running_loop().add_reader(self._handle, self._has_ended)

    def send(self, number: signal.Signals) -> None:
        if self._handle is not None:
            signal.pidfd_send_signal(self._handle, number)

    def _has_ended(self) -> None:
        if self._handle is not None:
            asyncio.get_running_loop().remove_reader(self._handle)
            os.close(self._handle)
            self._handle = None
        self.ended.set()


def main() -> None:
    import peft_fsdp_operator.handlers  # noqa: F401 - imported once, for all children

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel takes ended children away
    children: list[int] = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_operator(json.loads(line))
        children.append(pid)
        print(pid, flush=True)
    for pid in children:
        if Path(f"/proc/{pid}/stat").exists() and _parent(pid) == os.getpid():
            os.kill(pid, signal.SIGKILL)


def _become_operator(order: dict[str, Any]) -> None:
    from peft_fsdp_operator.cli import main as operator
    from peft_fsdp_operator.cluster import session

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ["KUBECONFIG"] = order["kubeconfig"]
    assert session.REQUEST_TIMEOUT > REQUEST_TIMEOUT
    if not order["patient"]:
        session.REQUEST_TIMEOUT = REQUEST_TIMEOUT  # type: ignore[misc]
    where = ["--metrics-address", "127.0.0.1", "--metrics-port", "0"]
    code = 1
    try:
        code = operator(["run", "--trainer-image", IMAGE, *where, *order["flags"]])
    except BaseException:  # noqa: BLE001 - nothing of the parent's program may run in the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


if __name__ == "__main__":
    main()
