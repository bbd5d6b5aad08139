"""Stand-ins for launchers: they answer /progress at addresses of the loopback net, where nothing else listens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import SystemRandom
from typing import Any

from aiohttp import web

from peft_fsdp_api import names
from peft_fsdp_api.progress import Progress, RankProgress, Stage, TrainingProgress
from tests.apiserver.operator.world import now


class Launcher:
    """One worker with one rank, at a step that the test sets."""

    def __init__(self, worker: int) -> None:
        self.worker, self.attempt, self.step, self.heartbeat = worker, 1, 1, now()
        self.said: str | None = None
        """What it answers in place of a report."""
        self.ip = "127." + ".".join(str(SystemRandom().randint(1, 254)) for _ in range(3))

    def move(self) -> None:
        self.step, self.heartbeat = self.step + 1, now()

    async def answer(self, _: web.Request) -> web.Response:
        if self.said is not None:
            return web.Response(text=self.said)
        rank = RankProgress(rank=self.worker, stage=Stage.TRAIN, done=self.step, heartbeat=self.heartbeat)
        figures = TrainingProgress(step=self.step, total_steps=100, loss=1.5, learning_rate=1e-4)
        training = figures if self.worker == 0 else None
        progress = Progress(attempt=self.attempt, node_rank=self.worker, ranks=[rank], training=training)
        return web.Response(text=progress.model_dump_json(by_alias=True, exclude_none=True))


@asynccontextmanager
async def launchers(count: int) -> AsyncIterator[list[Launcher]]:
    """So many launchers, while the block lasts."""
    runners: list[Any] = []
    found = [Launcher(worker) for worker in range(count)]
    try:
        for launcher in found:
            app = web.Application()
            app.router.add_get(names.PROGRESS_PATH, launcher.answer)
            runners.append(web.AppRunner(app))
            await runners[-1].setup()
            await web.TCPSite(runners[-1], launcher.ip, names.LAUNCHER_PORT).start()
        yield found
    finally:
        for runner in runners:
            await runner.cleanup()
