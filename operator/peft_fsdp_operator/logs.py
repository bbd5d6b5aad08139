"""Log lines for people or for programs. One line per decision, with job, attempt and reason; never a whole object.

What an answer of the API server or an admission webhook quotes is not ours to choose, so a message ends somewhere.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

FACTS: Final = ("job", "attempt", "phase", "reason", "failures")
MESSAGE_MAX: Final = 2000


def set_up_logging(form: Literal["text", "json"], level: str) -> None:
    """Everything goes to the standard error stream. kopf tells of every event it hands on; that is silenced."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(_retried_is_a_warning)
    handler.addFilter(_is_news)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _retried_is_a_warning(record: logging.LogRecord) -> bool:
    """kopf calls a request that it will send again an error; one that stays unanswered it escalates."""
    if record.name.startswith("kopf") and "; will re" in str(record.msg):
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def _is_news(record: logging.LogRecord) -> bool:
    """kopf tells of each try where a namespace may not be read; `cluster.closed` says so once."""
    said = str(record.msg)
    return not (record.name.startswith("kopf") and "APIForbiddenError" in said and "/namespaces/" in said)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in FACTS if getattr(record, name, None) is not None}


def _message(record: logging.LogRecord) -> str:
    said = record.getMessage()
    return said if len(said) <= MESSAGE_MAX else f"{said[:MESSAGE_MAX]}... ({len(said)} characters)"


class _Text(logging.Formatter):
    """One line, and a traceback below it where there is one: a line break in a message would look like another line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        record.message = "\\n".join(_message(record).splitlines())
        line = super().formatMessage(record)
        return f"{line} [{facts}]" if facts else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
