"""What follows from what the operator sees: a list of rules over values. Pure: time comes as an argument."""

from .invalid import report_invalid
from .phases import with_gpu_time
from .rules import decide

__all__ = ["decide", "report_invalid", "with_gpu_time"]
