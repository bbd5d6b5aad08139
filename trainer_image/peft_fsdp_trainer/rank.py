"""One training process: `python -m peft_fsdp_trainer.rank`, started by the launcher once per GPU or CPU process.

It loads the config, runs `train`, and turns whatever ends it into a failure file and an exit code.
"""

import ctypes
import gc
import logging
import os
import signal
import sys
import traceback
from typing import Final

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import REASONS, Reason, exit_code

from .config_file import read_config
from .errors import Preempted, TrainerError
from .failure import describe, write_failure
from .quick_imports import quick_imports
from .rank_environment import RankEnvironment, read_environment
from .report import Reporter
from .stop import StopRequest

_PR_SET_PDEATHSIG: Final = 1


def main() -> int:
    """Run the training and return the exit code."""
    environment = read_environment()
    reporter = Reporter(environment.rank, environment.run_dir)
    stop = StopRequest(lambda: _leave(environment, reporter))
    stop.listen()
    _die_with_launcher()
    reporter.stage(Stage.START)
    try:
        _train(environment, reporter, stop)
    except BaseException as error:  # noqa: BLE001 - whatever ends a rank gets a reason and an exit code
        return _fail(error, environment, reporter)
    reporter.stage(Stage.DONE)
    return 0


def _leave(environment: RankEnvironment, reporter: Reporter) -> None:
    """End from inside a signal handler. An exception would be caught by whichever library is at work."""
    stage, step = reporter.current_stage, reporter.step
    error = Preempted(f"asked to stop during stage {stage}; nothing had to be saved", step=step)
    write_failure(environment.run_dir, describe(error, environment.rank, stage, step))
    os._exit(exit_code(Reason.PREEMPTED))


def _train(environment: RankEnvironment, reporter: Reporter, stop: StopRequest) -> None:
    config = read_config(environment.config)
    # torch takes seconds to import; the launcher must see this rank's first report before that.
    with quick_imports():
        from .train import train

    # Half a million objects of libraries that stay: each full collection would walk over them, for 0.3 s.
    gc.freeze()
    train(config, reporter, stop)


def _fail(error: BaseException, environment: RankEnvironment, reporter: Reporter) -> int:
    failure = describe(error, environment.rank, reporter.current_stage, reporter.step)
    try:
        write_failure(environment.run_dir, failure)
    except OSError as unwritten:
        # The run folder is full too; the exit code and the log still tell the reason.
        print(f"{environment.run_dir} cannot be written: {unwritten}", file=sys.stderr)  # noqa: T201
    if isinstance(error, TrainerError):
        hint = failure.hint or REASONS[failure.reason].hint
        print(f"{failure.reason}: {failure.message}\n{hint}", file=sys.stderr)  # noqa: T201 - the pod's log
    else:
        traceback.print_exception(error)
    return exit_code(failure.reason)


def _die_with_launcher() -> None:
    """Ask the kernel to kill this process when its launcher dies, so that no rank is left behind on a workstation."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _exit(code: int) -> None:
    """Leave without the interpreter's end. Communicators are destroyed in it, and one whose peer has left a moment
    earlier hangs or aborts the process: a rank that had succeeded would end with a signal, and cost the job an attempt.
    Whatever must be written is closed by then.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _exit(main())
