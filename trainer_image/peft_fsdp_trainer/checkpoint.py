"""The state of a run on the volume: saved beside the training, committed last, resumed on any number of ranks.

A checkpoint is a folder `step-<n>`: torch's distributed checkpoint of adapter and optimizer, the random state of each
rank, an adapter that PEFT loads, and `committed.json`, written last. A folder without it is ignored. Called by `loop`.
"""

import json
import shutil
import time
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.status import CheckpointStatus
from peft_fsdp_api.trainer_config import TrainerConfig

from .adapter import gather_adapter, write_adapter
from .distributed import Ranks
from .hub import HubRepository
from .log import log
from .model_source import ModelFolder
from .output import Output
from .report import Reporter, timestamp
from .trainee import Trainee

COMMITTED: Final = "committed.json"
STATE_FOLDER: Final = "state"
ADAPTER_FOLDER: Final = "adapter"


class Checkpoints:
    """The checkpoints of a run."""

    def __init__(
        self, output: Output, base: ModelFolder, ranks: Ranks, reporter: Reporter, config: TrainerConfig
    ) -> None:
        self._output = output
        self._base = base
        self._ranks = ranks
        self._reporter = reporter
        self._keep = config.checkpoint.keep
        push = config.push_to_hub
        self._hub = HubRepository(push) if push is not None and push.when == "checkpoint" else None
        self._writing: Future[Any] | None = None
        self._pending: tuple[Path, dict[str, Any]] | None = None
        self.last_step = 0
        """Step of the newest checkpoint that was begun."""

    def save(self, trainee: Trainee) -> None:
        """Begin to save; returns when adapter and optimizer are copied, while the copy is being written."""
        self.finish()
        stage = self._reporter.current_stage
        self._reporter.stage(Stage.SAVE)
        folder = self._output.checkpoints / f"step-{trainee.position.step:08d}"
        self._ranks.decide(lambda: self._prepare(folder))
        tensors = gather_adapter(trainee.skeleton, keep=self._ranks.is_first)
        if self._ranks.is_first:
            write_adapter(folder / ADAPTER_FOLDER, tensors, trainee.skeleton, self._base)
        torch.save(_random_state(self._ranks.device), folder / f"random-{self._ranks.rank}.pt")
        self._ranks.barrier()
        written = async_save(
            trainee.tensors(), checkpoint_id=folder / STATE_FOLDER, process_group=self._ranks.background
        )
        assert isinstance(written, Future)
        self._writing = written
        self._pending = (folder, self._facts(trainee))
        self.last_step = trainee.position.step
        self._reporter.stage(stage)

    def poll(self) -> None:
        """Commit what has been written in the meantime; costs nothing while it has not."""
        if self._writing is not None and self._writing.done():
            self.finish()

    def finish(self) -> None:
        """Wait for the save in progress, if there is one, and commit it."""
        if self._writing is None or self._pending is None:
            return
        self._writing.result()
        folder, facts = self._pending
        self._writing, self._pending = None, None
        # torch completes the save on rank 0 only after every rank has written its part.
        if self._ranks.is_first:
            self._commit(folder, facts)

    def close(self) -> None:
        """Wait for what is being written and uploaded."""
        self.finish()
        if self._hub is not None:
            self._hub.wait()

    def resume(self, trainee: Trainee) -> bool:
        """Load the newest committed checkpoint into `trainee`; false where there is none."""
        folder = self._ranks.decide(self._newest)
        if folder is None:
            return False
        facts = json.loads((folder / COMMITTED).read_text())
        trainee.make_moments(facts["optimizerSteps"])
        tensors = trainee.tensors()
        load(tensors, checkpoint_id=folder / STATE_FOLDER, process_group=self._ranks.background)
        for key, value in facts["position"].items():
            setattr(trainee.position, key, value)
        trainee.loss_scale.scale, trainee.loss_scale.good_steps = facts["lossScale"]
        self._restore_random_state(folder, facts)
        self.last_step = trainee.position.step
        log(self._ranks, f"resumed from {self._output.in_volume(folder)}, saved on {facts['worldSize']} ranks")
        if self._ranks.is_first:
            self._reporter.checkpoint(self._status(folder, facts))
        return True

    def _facts(self, trainee: Trainee) -> dict[str, Any]:
        return {
            "position": asdict(trainee.position),
            "optimizerSteps": trainee.optimizer_steps,
            "lossScale": [trainee.loss_scale.scale, trainee.loss_scale.good_steps],
            "worldSize": self._ranks.world_size,
            "attempt": self._output.attempt,
        }

    def _prepare(self, folder: Path) -> None:
        """An empty folder; what an earlier attempt left there half-written goes."""
        self._output.confirm()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def _commit(self, folder: Path, facts: dict[str, Any]) -> None:
        facts["time"] = timestamp(time.time())
        partial = folder / f"{COMMITTED}.partial"
        partial.write_text(json.dumps(facts))
        partial.replace(folder / COMMITTED)
        log(self._ranks, f"checkpoint {self._output.in_volume(folder)} is complete")
        self._reporter.checkpoint(self._status(folder, facts))
        if self._hub is not None:
            self._hub.push_in_background(folder / ADAPTER_FOLDER, f"Step {facts['position']['step']}")
        for old in self._committed()[: -self._keep]:
            # Without the marker first, so that a removal that is cut short leaves nothing that looks complete.
            (old / COMMITTED).unlink()
            shutil.rmtree(old)

    def _status(self, folder: Path, facts: dict[str, Any]) -> CheckpointStatus:
        return CheckpointStatus(step=facts["position"]["step"], path=self._output.in_volume(folder), time=facts["time"])

    def _committed(self) -> list[Path]:
        """Folders with a commit marker, oldest first."""
        return sorted(marker.parent for marker in self._output.checkpoints.glob(f"step-*/{COMMITTED}"))

    def _newest(self) -> Path | None:
        committed = self._committed()
        for folder in sorted(self._output.checkpoints.glob("step-*")):
            if folder not in committed:
                log(self._ranks, f"ignoring {self._output.in_volume(folder)}: it was never completed")
        return committed[-1] if committed else None

    def _restore_random_state(self, folder: Path, facts: dict[str, Any]) -> None:
        """The states that the ranks had; on another number of ranks they stay as the seed made them."""
        if facts["worldSize"] != self._ranks.world_size:
            return
        state = torch.load(folder / f"random-{self._ranks.rank}.pt", weights_only=True)
        torch.set_rng_state(state["cpu"])
        if self._ranks.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self._ranks.device)


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state
