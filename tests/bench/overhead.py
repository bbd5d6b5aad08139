"""What the trainer costs around forward, backward and update, on the demo's model with one rank.

Counted in CPU time, which other programs on the machine do not change as they change the clock: that of the training
thread, and that of the thread which makes batches ahead.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dev.demo.inputs import write_inputs
from tests.bench.parity import demo_config
from tests.bench.report import Figure
from tests.trainer.core.gang import run_ranks, train_rank

STEPS = 40
SECTIONS = {
    "training": {"maxSteps": STEPS, "batchSize": 4, "learningRate": 2e-3, "loggingSteps": 5},
    "checkpoint": {"every": {"steps": 8}},
}


def measure() -> list[Figure]:
    """Overhead of loop and reports in percent of a step, and the pause of a save beyond its copy."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = demo_config(write_inputs(folder / "claims"), folder / "run", SECTIONS)
        spent: dict[str, float] = run_ranks(timed_rank, 1, folder / "ranks", config)[0].value
    work = spent["Stepper.train"]
    data = spent["PreparedFeed._endless"]
    around = spent["Loop.run"] - work - spent["Checkpoints.save"] + data
    pause = spent["Checkpoints.save"] - spent["gather_adapter"] - spent["DefaultStager.stage"]
    reports = spent["Loop._report"] + spent["Reporter.advance"] + spent["Loop._report_memory"]
    saves = STEPS // SECTIONS["checkpoint"]["every"]["steps"]
    return [
        Figure("loop, data and reports around forward, backward and update", 100 * around / work, "%", 3),
        Figure("batches alone, made ahead on a thread", 100 * data / work, "%", None),
        Figure("reports alone", 100 * reports / work, "%", 0.5),
        Figure("pause of a save beyond the copy, of a step", 100 * (pause / saves) / (work / STEPS), "%", 5),
        Figure("a step's work", 1000 * work / STEPS, "ms", None),
    ]


def timed_rank(config: Any) -> dict[str, float]:
    """A whole run as this rank; CPU seconds by function, on whichever thread it runs."""
    import peft_fsdp_trainer.checkpoint as checkpoint
    from peft_fsdp_trainer.feed import PreparedFeed
    from peft_fsdp_trainer.loop import Loop
    from peft_fsdp_trainer.report import Reporter
    from peft_fsdp_trainer.step import Stepper

    spent: dict[str, float] = defaultdict(float)
    for owner, name in (
        (Stepper, "train"), (Loop, "run"), (Loop, "_report"), (Loop, "_report_memory"),
        (Reporter, "advance"), (checkpoint.Checkpoints, "save"), (checkpoint.DefaultStager, "stage"),
        (checkpoint, "gather_adapter"),
    ):  # fmt: skip
        key = name if owner is checkpoint else f"{owner.__name__}.{name}"
        setattr(owner, name, _timed(getattr(owner, name), key, spent))
    PreparedFeed._endless = _timed_items(PreparedFeed._endless, "PreparedFeed._endless", spent)  # type: ignore[method-assign]
    train_rank(config)
    return spent


def _timed(function: Callable[..., Any], key: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.thread_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[key] += time.thread_time() - started

    return timed


def _timed_items(function: Callable[..., Any], key: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Iterator[Any]:
        items = function(*arguments)
        while True:
            started = time.thread_time()
            item = next(items)
            spent[key] += time.thread_time() - started
            yield item

    return timed
