"""The training loop: steps, evaluations and checkpoints until the run is complete or told to stop. Used by `train`."""

import contextlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from peft_fsdp_api.progress import Stage, TrainingProgress
from peft_fsdp_api.trainer_config import TrainerConfig

from .checkpoint import Checkpoints
from .data import Batch, Batches, Prefetch, PreparedData
from .distributed import Ranks
from .errors import LossNotFinite, Preempted
from .feed import Feed
from .figures import Figures
from .log import log
from .optim import make_schedule
from .random_state import random_state, set_random_state
from .report import Reporter
from .run_facts import RunFacts
from .schedule import Interval
from .step import Stepper
from .stop import StopRequest
from .trackers import Trackers
from .trainee import Trainee


@dataclass
class Loop:
    """Everything the loop moves."""

    config: TrainerConfig
    data: PreparedData
    feed: Feed
    ranks: Ranks
    stepper: Stepper
    trainee: Trainee
    checkpoints: Checkpoints
    trackers: Trackers
    facts: RunFacts
    reporter: Reporter
    stop: StopRequest

    def __post_init__(self) -> None:
        spec, evaluation = self.config.training, self.config.evaluation
        self.total_steps = self.feed.total_steps
        self.schedule = make_schedule(self.trainee.optimizer, spec, self.total_steps, self.trainee.position.step)
        self._evaluate_every = Interval(evaluation.every, time.monotonic) if evaluation else None
        self._save_every = Interval(self.config.checkpoint.every, time.monotonic)
        self._figures = Figures(self.total_steps, self.trainee.position, time.monotonic)

    def run(self) -> None:
        """Train to the last step and evaluate there.

        Raises:
            Preempted: a rank was asked to stop; the state is saved.
            LossNotFinite: at the named step.
        """
        position = self.trainee.position
        self.reporter.stage(Stage.TRAIN, self.total_steps)
        self._report()
        with contextlib.closing(self.feed):
            steps = self.feed.steps()
            while position.step < self.total_steps:
                self._step(next(steps))
            self.checkpoints.close()
            self.checkpoints.finish_uploads()
        self.facts.steps, self.facts.epochs = position.step, self.feed.epochs
        if counts := self.feed.counts():
            self.facts.documents, self.facts.truncated, self.facts.dropped = map(int, self.ranks.sum(counts))
        self.facts.tokens, self.facts.seconds = self._figures.tokens, self._figures.seconds
        self.facts.loss, self.facts.eval_loss = self._figures.loss, self._figures.eval_loss

    def _step(self, batches: list[Batch]) -> None:
        loss_tokens, tokens, save_now, evaluate_now = self._agree(batches)
        position = self.trainee.position
        rate = float(self.schedule.get_last_lr()[0])
        between = self._way_out_of_step() if len(batches) > 1 else _go_on
        loss, norm = self.stepper.train(batches, loss_tokens, self.trainee.loss_scale, position.step + 1, between)
        self.schedule.step()
        epoch_ended = self.feed.advance(len(batches))
        self._figures.add(loss, loss_tokens, tokens, rate, norm)
        self.reporter.advance(position.step)
        self._report_memory()
        is_last = position.step >= self.total_steps
        if is_last or position.step % self.config.training.logging_steps == 0:
            self._log()
        self._report()
        if self._evaluate_every and (self._evaluate_every.is_due(position, epoch_ended, evaluate_now) or is_last):
            self._evaluate()
        self.checkpoints.poll()
        if self._save_every.is_due(position, epoch_ended, save_now):
            self.checkpoints.save(self.trainee)

    def _agree(self, batches: list[Batch]) -> tuple[float, float, bool, bool]:
        """The one exchange per step: token counts of all ranks, whether anyone was asked to stop, rank 0's clock."""
        first = self.ranks.is_first
        evaluate = self._evaluate_every is not None and self._evaluate_every.minutes_are_over
        loss_tokens, tokens, stop, save_now, evaluate_now = self.ranks.sum(
            [
                sum(batch.loss_tokens for batch in batches),
                sum(batch.tokens for batch in batches),
                self.stop.requested,
                first and self._save_every.minutes_are_over,
                first and evaluate,
            ]
        )
        if stop:
            self._leave()
        return loss_tokens, tokens, save_now > 0, evaluate_now > 0

    def _way_out_of_step(self) -> Callable[[], None]:
        """What to do between the batches of the step that begins now, which may take longer than the grace period:
        leave if asked to. The step is done again, so what is saved is the random state from before it."""
        if not self.stepper.sharding.reshards_within_step:
            return self.reporter.heartbeat
        return partial(self._leave_if_asked, random_state(self.ranks.device))

    def _leave_if_asked(self, random: dict[str, torch.Tensor] | None = None) -> None:
        """Between two batches of a step or of an evaluation, which takes many times as long. `random` is the state to
        save in place of the one that there is."""
        self.reporter.heartbeat()
        if self.ranks.sum([self.stop.requested])[0]:
            if random is not None:
                set_random_state(random, self.ranks.device)
            self._leave()

    def _leave(self) -> None:
        """Save unless it has just been done, and end the run as one that can go on."""
        step = self.trainee.position.step
        if step != self.checkpoints.last_step:
            self.checkpoints.save(self.trainee)
        self.checkpoints.close()
        raise Preempted(f"asked to stop; the state after step {step} of {self.total_steps} is saved", step=step)

    def _evaluate(self) -> None:
        rows = self.data.evaluation
        evaluation = self.config.evaluation
        assert rows is not None
        assert evaluation is not None
        size = evaluation.batch_size or self.config.training.batch_size
        batches = Batches(rows, batch_size=size, rank=self.ranks.rank, world_size=self.ranks.world_size, shuffle=False)
        loss, tokens = 0.0, 0
        within = self.reporter.within(Stage.EVALUATE, len(batches))
        with self._figures.paused(), within, contextlib.closing(Prefetch(iter(batches))) as ahead:
            for done, (batch_loss, batch_tokens) in enumerate(self.stepper.evaluate(ahead)):
                loss, tokens = loss + batch_loss, tokens + batch_tokens
                self.reporter.advance(done + 1)
                self._leave_if_asked()
        loss, count = self.ranks.sum([loss, tokens])
        position = self.trainee.position
        self._figures.eval_loss = loss / max(count, 1)
        log(self.ranks, f"step {position.step}: evaluation loss {self._figures.eval_loss:.4f} over {count:.0f} tokens")
        self.trackers.log({"eval_loss": self._figures.eval_loss}, position.step)
        self._report()

    def _log(self) -> None:
        """A line and the trackers' point for the steps since the last one."""
        figures = self._figures
        loss_sum = self.ranks.sum([float(figures.loss_sum)])[0]
        figures.close_window(loss_sum)
        if figures.loss is None or not torch.isfinite(torch.tensor(figures.loss)):
            step = self.trainee.position.step
            raise LossNotFinite(f"the mean loss up to step {step} is {figures.loss}", step=step)
        log(self.ranks, figures.line(self.trainee.position))
        self.trackers.log(figures.points(), self.trainee.position.step)

    def _report(self) -> None:
        if self.ranks.is_first:
            self.reporter.training(self._progress())

    def _progress(self) -> TrainingProgress:
        position, figures = self.trainee.position, self._figures
        return TrainingProgress(
            step=position.step,
            total_steps=self.total_steps,
            epoch=round(self.feed.epochs, 4),
            loss=figures.loss,
            eval_loss=figures.eval_loss,
            learning_rate=figures.learning_rate,
            grad_norm=figures.grad_norm,
            tokens_per_second=figures.tokens_per_second,
            model_flops_utilization=self.facts.utilization(figures.tokens_per_second),
            remaining_seconds=figures.remaining_seconds(position),
        )

    def _report_memory(self) -> None:
        if self.ranks.device.type == "cuda":
            self.reporter.memory(torch.cuda.memory_reserved(), torch.cuda.max_memory_reserved())
        else:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
            # The kernel counts the two apart and in batches, so the first may be ahead.
            self.reporter.memory(resident, max(resident, usage.ru_maxrss * 1024))


def _go_on() -> None:
    """Between two batches of a step that is not left."""
