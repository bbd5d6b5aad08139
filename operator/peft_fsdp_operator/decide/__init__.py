"""What follows from what the operator sees: a list of rules over values. Pure: time comes as an argument."""

from .rules import decide, report_invalid

__all__ = ["decide", "report_invalid"]
