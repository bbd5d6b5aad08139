"""Programs that outlive the command that starts them, found again by a pid file.

A pid alone may belong to somebody else by the time `down` runs, so the file also holds the start time that the
kernel reports: only a process with both is ours, and only those are ever signalled.
"""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.layout import Layout
from dev.cluster.progress import last_lines

# Proxies of the user's shell must not come between the parts of a cluster that lives on one bridge.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}


def start(layout: Layout, program: str, command: Sequence[str]) -> None:
    """Start `program` in a session of its own unless it runs already; its output goes to the instance's log."""
    if is_running(layout, program):
        return
    log = layout.log(program)
    log.parent.mkdir(parents=True, exist_ok=True)
    # posix_spawn and not subprocess: nothing in this process has to wait for, or warn about, the child.
    pid = os.posix_spawn(
        command[0],
        list(command),
        ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    record = layout.pid_file(program)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"pid": pid, "start": start_time(pid)}))


def is_running(layout: Layout, program: str) -> bool:
    return running_pid(layout.pid_file(program)) is not None


def must_be_running(layout: Layout, program: str) -> None:
    if not is_running(layout, program):
        raise ClusterError(f"{program} ended; the end of its log:\n{last_lines(layout.log(program))}")


def running_pid(record: Path) -> int | None:
    if not record.exists():
        return None
    content = json.loads(record.read_text())
    pid = int(content["pid"])
    _reap(pid)
    return pid if content["start"] is not None and start_time(pid) == content["start"] else None


def stop(layout: Layout, program: str, patience: float = 10.0) -> None:
    """SIGTERM, then SIGKILL for what does not listen; returns when the process is gone."""
    record = layout.pid_file(program)
    pid = running_pid(record)
    if pid is not None:
        terminate(pid, patience)
    record.unlink(missing_ok=True)


def terminate(pid: int, patience: float) -> None:
    started = start_time(pid)
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if _gone_within(pid, started, seconds):
            return
    raise ClusterError(f"process {pid} survives SIGKILL; look at it with `cat /proc/{pid}/stack`")


def _gone_within(pid: int, started: int | None, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _reap(pid)
        if start_time(pid) != started or started is None:
            return True
        time.sleep(0.02)
    return False


def _reap(pid: int) -> None:
    """A child that ended stays a zombie until its parent asks; the parent is this process or already gone."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def start_time(pid: int) -> int | None:
    """Clock ticks since boot when `pid` started (field 22 of /proc/PID/stat); None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
