"""Real ranks for the tests: N processes over gloo that run the trainer as the launcher's ranks do.

They come from a fork server that has torch and transformers imported already, so a gang costs a second, not ten.
"""

import gc
import json
import multiprocessing
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from peft_fsdp_api.progress import TrainingProgress
from peft_fsdp_api.trainer_config import TrainerConfig
from peft_fsdp_trainer.errors import TrainerError
from peft_fsdp_trainer.report import Reporter
from peft_fsdp_trainer.stop import StopRequest
from tests.ports import free_port

TIMEOUT = 240

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.trainer.core.rank_imports"])


def start_importing() -> None:
    """Let the fork server import, on another core, while other tests run."""
    ensure_running()


@dataclass(frozen=True)
class Ending:
    """How one rank ended."""

    value: Any = None
    reason: str = ""
    message: str = ""


def run_ranks(
    function: Callable[..., Any], world_size: int, folder: Path, *arguments: Any, ranks_per_node: int | None = None
) -> list[Ending]:
    """Call `function(*arguments)` in each rank; its value must be JSON. Errors but TrainerError fail the test."""
    folder.mkdir(parents=True, exist_ok=True)
    place = (world_size, ranks_per_node or world_size, free_port())
    processes = [
        _context.Process(target=_rank_main, args=(function, rank, place, folder, arguments), daemon=True)
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    _join(processes, folder)
    return [_ending(folder, rank) for rank in range(world_size)]


class Recorder(Reporter):
    """A reporter that keeps the figures of every step, and can ask for a stop at one."""

    def __init__(self, rank: int, folder: Path, stop: StopRequest, stop_at: int | None) -> None:
        super().__init__(rank, folder)
        self.losses: list[float | None] = []
        self.stages: dict[str, tuple[int, int | None]] = {}
        """Units done and in all of each stage, as they were told last."""
        self.last: TrainingProgress | None = None
        self._stop, self._stop_at = stop, stop_at

    def training(self, progress: TrainingProgress) -> None:
        super().training(progress)
        if progress.loss is not None and (self.last is None or self.last.step != progress.step):
            self.losses.append(progress.loss)
        self.last = progress

    def advance(self, done: int, total: int | None = None) -> None:
        super().advance(done, total)
        known = self.stages.get(self.current_stage, (0, None))[1]
        self.stages[self.current_stage] = (done, known if total is None else total)
        if self.current_stage == "train" and done == self._stop_at:
            self._stop.request()


def train_rank(config: TrainerConfig, stop_at: int | None = None, stop_rank: int = 0) -> dict[str, Any]:
    """A whole run as this rank. With `stop_at`, `stop_rank` alone gets the SIGTERM flag after that step."""
    from peft_fsdp_trainer.train import train

    rank, stop = int(os.environ["RANK"]), StopRequest()
    run_folder = Path(config.paths.scratch)
    run_folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(rank, run_folder, stop, stop_at if rank == stop_rank else None)
    try:
        train(config, recorder, stop)
    except TrainerError as error:
        return {"losses": recorder.losses, "reason": error.reason, "message": error.message, "step": error.step}
    last = recorder.last
    figures = {"eval_loss": last.eval_loss, "grad_norm": last.grad_norm} if last else {}
    return {"losses": recorder.losses, "reason": "", "stages": recorder.stages, **figures}


def _rank_main(
    function: Callable[..., Any], rank: int, place: tuple[int, int, int], folder: Path, arguments: tuple[Any, ...]
) -> None:
    import torch

    _write_output_to(_output(folder, rank))
    gc.freeze()  # as in `rank`
    torch.set_num_threads(1)
    world_size, on_node, port = place
    local = rank % on_node
    rank_environment = {"RANK": rank, "LOCAL_RANK": local, "WORLD_SIZE": world_size, "LOCAL_WORLD_SIZE": on_node}
    os.environ.update({key: str(value) for key, value in rank_environment.items()})
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "HF_HUB_OFFLINE": "1"})
    result = folder / f"result-{rank}.json"
    try:
        result.write_text(json.dumps({"value": function(*arguments)}))
    except TrainerError as error:
        result.write_text(json.dumps({"reason": error.reason, "message": error.message}))
    except BaseException:
        result.with_suffix(".error").write_text(traceback.format_exc())
        raise
    finally:
        os._exit(0)


def _output(folder: Path, rank: int) -> Path:
    return folder / f"output-{rank}.log"


def _write_output_to(file: Path) -> None:
    """The fork server is started outside of pytest's capture, so its output would be the terminal."""
    output = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)


def _ending(folder: Path, rank: int) -> Ending:
    result = folder / f"result-{rank}.json"
    error = result.with_suffix(".error")
    if error.exists():
        raise AssertionError(f"rank {rank}:\n{error.read_text()}\n{_output(folder, rank).read_text()}")
    return Ending(**json.loads(result.read_text()))


def _join(processes: list[BaseProcess], folder: Path) -> None:
    for process in processes:
        process.join(TIMEOUT)
    stuck = {rank: process for rank, process in enumerate(processes) if process.is_alive()}
    for process in stuck.values():
        process.kill()
    said = "\n".join(_output(folder, rank).read_text() for rank in stuck)
    assert not stuck, f"ranks {list(stuck)} did not end within {TIMEOUT} s:\n{said}"
