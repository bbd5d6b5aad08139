"""Stands for a rank below a launcher: asks the fork server for the real one, passes signals on and ends as it ends.

The launcher starts this file's text with `python -c`; it must import nothing but the standard library.
"""

import ctypes
import json
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1
SOCKET = "RANK_FORKS_SOCKET"


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    server = socket.socket(socket.AF_UNIX)
    server.connect(os.environ[SOCKET])
    socket.send_fds(server, [b"x"], [1, 2])
    server.sendall(json.dumps(dict(os.environ)).encode() + b"\n")
    answers = server.makefile("r")
    pid = int(answers.readline())
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    code = int(answers.readline() or "1")
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


main()
