"""A request to stop, as a rank sees it: SIGTERM from its launcher.

While there is something to save it is a flag, read before each batch of a step or an evaluation, with FSDP1 before each
step; the ranks must agree on where they stop, so the flag of one rank decides nothing. Before the first step and after
the export there is nothing to save, and the process ends at once, whatever it is waiting for.
Made by `rank`, handed to `train`.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


class StopRequest:
    """Whether this process was asked to stop."""

    def __init__(self, leave: Callable[[], None] | None = None) -> None:
        """`leave` ends the process; without it a request is only a flag."""
        self._leave = leave
        self._requested = False
        self._something_to_save = False

    @property
    def requested(self) -> bool:
        """True from the first request on."""
        return self._requested

    def request(self) -> None:
        """Ask to stop at the next opportunity."""
        self._requested = True
        self.heed()

    def heed(self) -> None:
        """End the process here where it was asked to stop and there is nothing to save."""
        if self._requested and self._leave is not None and not self._something_to_save:
            self._leave()

    @contextlib.contextmanager
    def at_step_boundaries(self) -> Iterator[None]:
        """A block that must be left in order: `requested` is read in it."""
        self._something_to_save = True
        yield
        self._something_to_save = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT of this process as requests. Main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
