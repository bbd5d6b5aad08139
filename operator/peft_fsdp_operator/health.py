"""`/healthz`, `/readyz` and `/metrics`. Started before the election, so a standby replica answers too."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

TICK: Final = 1.0
LAG_MAX: Final = 10.0
"""An event loop that does not come round for so long does nothing for anybody."""
SILENCE_MAX: Final = 300.0
"""A watch without even a bookmark for so long has reconnected in vain several times."""


@dataclass
class Health:
    """What the probes ask. `watch_age` and `is_ready` are set once this process leads."""

    registry: CollectorRegistry
    role: str = "standby"
    is_ready: Callable[[], bool] = field(default=lambda: True)
    watch_age: Callable[[], float] = field(default=lambda: 0.0)
    saw_lag: Callable[[float], None] = field(default=lambda _: None)
    """Told once a second by how much the event loop was late."""
    _ticked_at: float = 0.0

    async def tick(self) -> None:
        """Prove that the event loop comes round. Runs until cancelled."""
        while True:
            self._ticked_at = asyncio.get_running_loop().time()
            await asyncio.sleep(TICK)
            self.saw_lag(self.lag)

    @property
    def lag(self) -> float:
        """Seconds by which the last tick is late."""
        return max(0.0, asyncio.get_running_loop().time() - self._ticked_at - TICK)

    async def serve(self, address: str, port: int) -> web.AppRunner:
        """Listen; the caller cleans the runner up."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, address or None, port).start()
        return runner

    async def _healthz(self, _: web.Request) -> web.Response:
        lag, age = self.lag, self.watch_age()
        well = lag < LAG_MAX and age < SILENCE_MAX
        text = f"{self.role}; event loop late by {lag:.1f} s; last word of the API server {age:.0f} s ago\n"
        return web.Response(text=text, status=200 if well else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self.is_ready()
        return web.Response(text=f"{self.role}, {'ready' if ready else 'not ready'}\n", status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
