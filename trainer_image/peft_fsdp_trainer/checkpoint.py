"""The state of a run on the volume: saved beside the training, committed last, resumed on any number of ranks.

A checkpoint holds torch's distributed checkpoint of adapter and optimizer, the random state of each rank, and an
adapter that PEFT loads. The training waits for the copy in memory; a thread writes it. Called by `loop`.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import CheckpointStatus
from peft_fsdp_api.trainer_config import TrainerConfig

from .adapter import gather_adapter, write_adapter
from .checkpoint_cursor import resumed_cursor, write_cursor
from .checkpoint_folders import CheckpointFolders
from .checkpoint_origin import Origin
from .data import Cursor
from .disk_space import naming_full_disk
from .distributed import Ranks
from .failure import classify
from .hub import HubRepository
from .log import log
from .model import Skeleton
from .model_source import ModelFolder
from .output import Output
from .random_state import random_state, set_random_state
from .report import Reporter
from .trainee import Trainee

STATE_FOLDER: Final = "state"
ADAPTER_FOLDER: Final = "adapter"


@dataclass(frozen=True)
class Snapshot:
    """The state of one step, copied: the training goes on while it is written."""

    place: Path
    """The folder it becomes."""
    facts: dict[str, Any]
    tensors: dict[str, Any]
    """This rank's shards on the host."""
    random: dict[str, torch.Tensor]
    adapter: dict[str, torch.Tensor]
    """All of it on rank 0, nothing elsewhere."""
    cursor: Cursor | None
    """This rank's place in a streamed dataset."""
    skeleton: Skeleton


class Checkpoints:
    """The checkpoints of a run."""

    def __init__(
        self,
        output: Output,
        base: ModelFolder,
        ranks: Ranks,
        reporter: Reporter,
        config: TrainerConfig,
        origin: Origin,
    ) -> None:
        self._output = output
        self._folders = CheckpointFolders(output)
        self._base = base
        self._ranks = ranks
        self._reporter = reporter
        self._keep = config.checkpoint.keep
        self._origin = origin
        push = config.push_to_hub
        self._hub = HubRepository(push) if push is not None and push.when == "checkpoint" else None
        self._stager = DefaultStager(StagingOptions(False, False, False, False))
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[dict[str, Any]] | None = None
        self._pruning: Future[None] | None = None
        self.last_step = 0
        """Step of the newest checkpoint that was begun."""

    def save(self, trainee: Trainee) -> None:
        """Begin to save; returns when adapter and optimizer are copied, while the copy is being written."""
        self.finish()
        with self._reporter.within(Stage.SAVE):
            adapter = gather_adapter(trainee.trained, keep=self._ranks.is_first)
            tensors = self._stager.stage(trainee.tensors())
            assert isinstance(tensors, dict)
            place, random = self._folders.of_step(trainee.position.step), random_state(self._ranks.device)
            facts = self._facts(trainee)
            snapshot = Snapshot(place, facts, tensors, random, adapter, trainee.cursor, trainee.skeleton)
            self._writing = self._thread.submit(self._write, snapshot)
            self.last_step = trainee.position.step

    def poll(self) -> None:
        """Report what has been committed in the meantime; costs nothing while nothing has."""
        if self._writing is not None and self._writing.done():
            self.finish()

    def finish(self) -> None:
        """Wait for the save in progress, if there is one. Raises what went wrong with it."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        facts = writing.result()
        if self._ranks.is_first:
            folder = self._folders.of_step(facts["position"]["step"])
            log(self._ranks, f"checkpoint {self._output.in_volume(folder)} is complete")
            self._reporter.checkpoint(self._status(folder, facts))
            if self._hub is not None:
                self._hub.push_beside(folder / ADAPTER_FOLDER, f"Step {facts['position']['step']}")
            self._finish_pruning()
            uploaded = self._hub.reading if self._hub is not None else None
            self._pruning = self._thread.submit(self._folders.prune, self._keep, uploaded)

    def _finish_pruning(self) -> None:
        if self._pruning is not None:
            self._pruning.result()

    def close(self) -> None:
        """Wait for what is being written, and let go of what it was written with."""
        self.finish()
        self._finish_pruning()
        self._thread.shutdown()
        self._stager.close()

    def finish_uploads(self) -> None:
        """Wait for what is being uploaded. Not asked for by a run that stops: it has no time for that."""
        if self._hub is not None:
            self._hub.wait()

    def resume(self, trainee: Trainee) -> bool:
        """Load the newest committed checkpoint that can be read into `trainee`; false where there is none.

        Raises TrainerError where all are damaged, or where it belongs to another job or other data.
        """
        while (folder := self._ranks.decide(self._folders.newest)) is not None:
            facts = self._folders.facts(folder)
            self._origin.check(self._output.in_volume(folder), facts)
            problem = self._load(folder, facts, trainee)
            if problem is None:
                self._take_up(folder, facts, trainee)
                return True
            self._ranks.decide(partial(self._folders.mark_damaged, folder, problem))
        return False

    def _write(self, snapshot: Snapshot) -> dict[str, Any]:
        """Write and commit; runs in the thread of every rank, and the ranks meet in their background group."""
        place, background = snapshot.place, self._ranks.background
        with naming_full_disk(place, f"checkpoint {place.name}"), self._output.fence.around():
            folder = self._ranks.decide(lambda: self._output.begin_folder(place), background)
            torch.save(snapshot.random, folder / f"random-{self._ranks.rank}.pt")
            if snapshot.cursor is not None:
                write_cursor(folder, self._ranks.rank, snapshot.cursor)
            if self._ranks.is_first:
                write_adapter(folder / ADAPTER_FOLDER, snapshot.adapter, snapshot.skeleton, self._base)
            # Nothing is copied ahead: the tensors are here already, and torch would look for a stream of this thread's
            # device, which is the first GPU: a context of half a gigabyte there for every rank.
            writer = FileSystemWriter(folder / STATE_FOLDER, per_thread_copy_ahead=0)
            save(snapshot.tensors, storage_writer=writer, process_group=background)
            # torch completes the save on rank 0 only after every rank has come to it and has written its part.
            if not self._ranks.is_first:
                return snapshot.facts
            return self._folders.commit(folder, place, snapshot.facts)

    def _load(self, folder: Path, facts: dict[str, Any], trainee: Trainee) -> str | None:
        """Read the tensors. What cannot be read is a problem in words, the same on every rank."""
        trainee.make_moments(facts["optimizerSteps"])
        try:
            load(trainee.tensors(), checkpoint_id=folder / STATE_FOLDER, process_group=self._ranks.background)
        except CheckpointException as error:
            if classify(error, Stage.LOAD) is not Reason.APPLICATION_ERROR:
                raise
            return str(next(iter(error.failures.values()))[0])
        return None

    def _take_up(self, folder: Path, facts: dict[str, Any], trainee: Trainee) -> None:
        for key, value in facts["position"].items():
            setattr(trainee.position, key, value)
        trainee.cursor = resumed_cursor(folder, facts["worldSize"], trainee.cursor, self._ranks.rank)
        trainee.loss_scale.scale, trainee.loss_scale.good_steps = facts["lossScale"]
        self._restore_random_state(folder, facts)
        self.last_step = trainee.position.step
        log(self._ranks, f"resumed from {self._output.in_volume(folder)}, saved on {facts['worldSize']} ranks")
        if self._ranks.is_first:
            self._reporter.checkpoint(self._status(folder, facts))

    def _facts(self, trainee: Trainee) -> dict[str, Any]:
        return {
            "position": asdict(trainee.position),
            "optimizerSteps": trainee.optimizer_steps,
            "lossScale": [trainee.loss_scale.scale, trainee.loss_scale.good_steps],
            "worldSize": self._ranks.world_size,
            "attempt": self._output.attempt,
            **self._origin.facts(),
        }

    def _status(self, folder: Path, facts: dict[str, Any]) -> CheckpointStatus:
        return CheckpointStatus(step=facts["position"]["step"], path=self._output.in_volume(folder), time=facts["time"])

    def _restore_random_state(self, folder: Path, facts: dict[str, Any]) -> None:
        """The states that the ranks had; on another number of ranks they stay as the seed made them."""
        if facts["worldSize"] != self._ranks.world_size:
            return
        state = torch.load(folder / f"random-{self._ranks.rank}.pt", weights_only=True)
        set_random_state(state, self._ranks.device)
