"""The launcher sees what a rank cannot say: that it was stopped."""

import os
import signal
import subprocess
import sys
import time

from peft_fsdp_trainer.launcher.run_dir import process_state


def test_a_stopped_process_is_told_from_one_that_sleeps_and_one_that_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            os.kill(process.pid, signal.SIGSTOP)
            while process_state(process.pid) != "T":
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGCONT)
            while process_state(process.pid) != "S":
                time.sleep(0.01)
        finally:
            process.kill()
    assert process_state(process.pid) is None
