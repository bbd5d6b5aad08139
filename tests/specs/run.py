"""Many generated jobs before the operator's code and the real API server, so many requests at a time."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dev.cluster.instance import Cluster as Instance
from peft_fsdp_operator.cluster import find_credentials, open_session
from tests.specs.generator import Generated
from tests.specs.verdicts import ask, complaints

AT_ONCE = 8


@dataclass
class Report:
    """What came of it."""

    valid: int = 0
    invalid: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """How many jobs each kind of change made invalid."""
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.valid + self.invalid} specs in {self.seconds:.0f} s: {self.valid} valid, {self.invalid} invalid, "
            f"{len(self.complaints)} complaints; invalid by {kinds}"
        )


async def run(instance: Instance, jobs: Iterable[Generated]) -> Report:
    """Every job judged by both."""
    report, left, started = Report(), iter(jobs), time.monotonic()
    credentials = find_credentials({**os.environ, "KUBECONFIG": str(instance.kubeconfig)})
    session = open_session(credentials)
    session.headers["User-Agent"] = "tests"  # not to be taken for the operator in the audit log

    async def work() -> None:
        for generated in left:
            answer = await ask(session, credentials.server, generated.job)
            report.valid += answer.accepts
            report.invalid += not answer.accepts
            report.kinds.update({kind for kind, _ in generated.changes} if not answer.accepts else ())
            report.complaints += [
                f"seed {generated.seed}, {generated.changes}: {one}" for one in complaints(generated, answer)
            ]

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(work())
    finally:
        await session.close()
    report.seconds = time.monotonic() - started
    return report
