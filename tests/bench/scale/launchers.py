"""All launchers of all KWOK pods in one server: the pods share the machine's address. A process of its own.

`python -m tests.bench.scale.launchers ADDRESS`; every answer has moved on since the last one.
"""

import sys
import time
from datetime import UTC, datetime

from aiohttp import web

from peft_fsdp_api.names import LAUNCHER_PORT, PROGRESS_PATH
from peft_fsdp_api.progress import Progress, RankProgress, Stage, TrainingProgress

STEPS_PER_SECOND = 4
TOTAL = 1_000_000
ATTEMPT = 1


def progress(seconds: float) -> str:
    """What a launcher says after so many seconds."""
    step = int(seconds * STEPS_PER_SECOND)
    heartbeat = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rank = RankProgress(rank=0, stage=Stage.TRAIN, done=step, total=TOTAL, heartbeat=heartbeat)
    training = TrainingProgress(step=step, total_steps=TOTAL, loss=2.0, learning_rate=1e-4, tokens_per_second=9000.0)
    return Progress(attempt=ATTEMPT, node_rank=0, ranks=[rank], training=training).model_dump_json(by_alias=True)


def main(address: str) -> None:
    started = time.monotonic()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=progress(time.monotonic() - started), content_type="application/json")

    app = web.Application()
    app.router.add_get(PROGRESS_PATH, answer)
    web.run_app(app, host=address, port=LAUNCHER_PORT, print=None, access_log=None)


if __name__ == "__main__":
    main(sys.argv[1])
