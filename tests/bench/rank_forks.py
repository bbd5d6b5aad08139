"""Real ranks that start in a moment: `python -m tests.bench.rank_forks SOCKET` imports torch once and forks.

Each connection of a `rank_relay` becomes one process that runs `peft_fsdp_trainer.rank` and notes every step in a
journal, which outlives a `kill -9`. A rank dies with its relay, as it would die with its launcher.
"""

import hashlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

RELAY = Path(__file__).with_name("rank_relay.py")
ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.01
READY = "ready"
SOCKET = "RANK_FORKS_SOCKET"
"""Environment variable in which `rank_relay` finds the server."""
BEFORE = "RANK_FORKS_BEFORE"
"""Environment variable of a rank: `module:function`, which is called in it before it runs."""


@contextmanager
def fork_server(path: Path) -> Iterator[None]:
    """A fork server that listens on `path` until the block is left."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = Popen(
        [sys.executable, "-m", "tests.bench.rank_forks", str(path)], cwd=ROOT, stdout=PIPE, env=environment, text=True
    )
    try:
        assert process.stdout is not None
        while process.stdout.readline().strip() != READY:
            assert process.poll() is None, "the fork server did not start"
        os.environ[SOCKET] = str(path)
        yield
    finally:
        os.environ.pop(SOCKET, None)
        process.terminate()
        process.communicate()


def journal(run_dir: Path, rank: int) -> Path:
    """Where a rank notes its steps: one JSON object per line."""
    return run_dir / f"journal-{rank}.jsonl"


def serve(path: Path) -> None:
    """Fork a rank for each connection, for ever. Returns only in a rank, when it has ended."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    ranks: dict[int, socket.socket] = {}
    print(READY, flush=True)
    while True:
        for key, _ in selector.select(POLL_SECONDS):
            if key.fileobj is listener:
                relay = listener.accept()[0]
                pid = _fork(relay, listener)
                if pid == 0:
                    return
                ranks[pid] = relay
                selector.register(relay, selectors.EVENT_READ, pid)
            else:  # the relay says nothing more: it is gone
                selector.unregister(key.fileobj)
                if key.data in ranks:
                    os.kill(key.data, signal.SIGKILL)
        _collect(ranks, selector)


def _collect(ranks: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    while ranks:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        relay = ranks.pop(pid)
        if relay in (key.fileobj for key in selector.get_map().values()):
            selector.unregister(relay)
            relay.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        relay.close()


def _fork(relay: socket.socket, listener: socket.socket) -> int:
    _, streams, _, _ = socket.recv_fds(relay, 1, 2)
    environment = json.loads(relay.makefile("r").readline())
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for stream, number in zip(streams, (1, 2), strict=True):
            os.dup2(stream, number)
        relay.close()
        listener.close()
        os.environ.clear()
        os.environ.update(environment)
        return 0
    for stream in streams:
        os.close(stream)
    (Path(environment["PEFT_FSDP_RUN_DIR"]) / f"pid-{environment['RANK']}").write_text(str(pid))
    relay.sendall(f"{pid}\n".encode())
    return pid


def _keep_journal() -> None:
    """Note what every step trained on and the loss that was reported for it."""
    from peft_fsdp_trainer.report import Reporter
    from peft_fsdp_trainer.step import Stepper

    file = os.open(
        journal(Path(os.environ["PEFT_FSDP_RUN_DIR"]), int(os.environ["RANK"])), os.O_CREAT | os.O_WRONLY | os.O_APPEND
    )

    def note(**facts: Any) -> None:
        os.write(file, json.dumps(facts).encode() + b"\n")

    train, report = Stepper.train, Reporter.training

    def noted_train(self: Stepper, batches: Any, loss_tokens: float, scale: Any, step: int, between: Any) -> Any:
        digest = hashlib.sha256()
        for batch in batches:
            digest.update(batch.inputs["input_ids"].numpy().tobytes())
        result = train(self, batches, loss_tokens, scale, step, between)
        note(step=step, samples=digest.hexdigest()[:16])
        return result

    def noted_report(self: Reporter, progress: Any) -> None:
        if progress.loss is not None:
            note(step=progress.step, loss=progress.loss)
        report(self, progress)

    Stepper.train, Reporter.training = noted_train, noted_report  # type: ignore[method-assign]


def main() -> None:
    from peft_fsdp_trainer.quick_imports import quick_imports

    with quick_imports():
        import torch

        import peft_fsdp_trainer.train  # noqa: F401
    from peft_fsdp_trainer import rank

    torch.set_num_threads(1)
    serve(Path(sys.argv[1]))
    _keep_journal()
    if before := os.environ.get(BEFORE):
        module, function = before.split(":")
        getattr(importlib.import_module(module), function)()
    rank._exit(rank.main())


if __name__ == "__main__":
    main()
