"""A request to stop, as a rank sees it: SIGTERM from its launcher becomes a flag read at step boundaries.

Made by `rank`, handed to `train`. The ranks must agree on the step at which they stop; the flag alone of one rank
decides nothing.
"""

import signal
from types import FrameType


class StopRequest:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self._requested = False

    @property
    def requested(self) -> bool:
        """True from the first request on."""
        return self._requested

    def request(self) -> None:
        """Ask to stop at the next opportunity."""
        self._requested = True

    def listen(self) -> None:
        """Take SIGTERM and SIGINT of this process as requests. Main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
