"""The figures between two log lines: mean loss, tokens per second, remaining time. Kept by `loop`."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta

import torch

from peft_fsdp_api.durations import format_duration

from .schedule import Position


class Figures:
    """Sums since the last log line, and the figures of that line."""

    def __init__(self, total_steps: int, position: Position, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._total_steps = total_steps
        self._started = self._window_started = clock()
        self._first_step = position.step
        self._loss_tokens = 0.0
        self._window_tokens = 0.0
        self.loss_sum: torch.Tensor | float = 0.0
        """This rank's loss, on its device: reading it every step would make the device wait."""
        self.tokens = 0
        """Tokens of all ranks since the start of this attempt."""
        self.loss: float | None = None
        self.eval_loss: float | None = None
        self.learning_rate: float | None = None
        self.grad_norm: float | None = None
        self.tokens_per_second: float | None = None

    @property
    def seconds(self) -> float:
        """Time since the loop began."""
        return self._clock() - self._started

    def add(self, loss: torch.Tensor, loss_tokens: float, tokens: float, rate: float, norm: float) -> None:
        """A step is done; token counts are of all ranks."""
        self.loss_sum = self.loss_sum + loss
        self._loss_tokens += loss_tokens
        self._window_tokens += tokens
        self.tokens += int(tokens)
        self.learning_rate, self.grad_norm = rate, norm

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """A block in which no training happens: its time is none of the pace of the steps around it."""
        began = self._clock()
        yield
        self._window_started += self._clock() - began

    def close_window(self, loss_sum: float) -> None:
        """Compute the figures from the loss of all ranks, and begin anew."""
        now = self._clock()
        self.loss = loss_sum / max(self._loss_tokens, 1.0)
        self.tokens_per_second = self._window_tokens / max(now - self._window_started, 1e-9)
        self.loss_sum, self._loss_tokens, self._window_tokens, self._window_started = 0.0, 0.0, 0.0, now

    def remaining_seconds(self, position: Position) -> float | None:
        """Time to the last step at the pace so far; None before the first step of this attempt."""
        done = position.step - self._first_step
        if done == 0:
            return None
        return self.seconds / done * (self._total_steps - position.step)

    def points(self) -> dict[str, float]:
        """The figures that have a value, for the trackers."""
        named = {
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "grad_norm": self.grad_norm,
            "tokens_per_second": self.tokens_per_second,
        }
        return {name: value for name, value in named.items() if value is not None}

    def line(self, position: Position) -> str:
        """The log line after a step."""
        left = format_duration(timedelta(seconds=self.remaining_seconds(position) or 0.0))
        return (
            f"step {position.step}/{self._total_steps}: loss {self.loss:.4f}, learning rate {self.learning_rate:.2e}, "
            f"gradient norm {self.grad_norm:.3f}, {self.tokens_per_second:.0f} tokens/s, {left} left"
        )
