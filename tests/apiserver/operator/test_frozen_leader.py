"""A leader that was frozen in the middle of a large gang: it wakes up, and another one leads."""

import signal

import pytest

from peft_fsdp_operator.children import WRITES_PER_JOB
from tests.apiserver.operator.test_robustness import holder
from tests.apiserver.operator.world import operator_process, until

pytestmark = pytest.mark.apiserver
PODS = 400
"""Many times as many as are under way at once."""


async def test_it_writes_nothing_more(api_server, alone, start, tmp_path):
    lease = ("--lease-namespace", alone.namespace)
    with start(*lease, "--identity", "first") as first:
        await alone.submit(nodes=PODS)
        await until(alone.pods)
        first.send_signal(signal.SIGSTOP)
        try:
            # The other one does not watch this namespace: whatever is written here is the frozen one's.
            with operator_process(api_server.kubeconfig, "default", tmp_path / "log", *lease, "--identity", "second"):
                await until(lambda: holder(alone, "second"))
                made = await alone.pods()
                first.send_signal(signal.SIGCONT)
                await until(lambda: ended(first))
        finally:
            first.send_signal(signal.SIGCONT)
        assert 0 < len(made) < PODS
        # A request that was opening its connection when the process froze had left already.
        assert len((await alone.pods()).keys() - made.keys()) < WRITES_PER_JOB
        assert first.returncode != 0


async def ended(process):
    return process.poll() is not None
