"""What can go wrong between the operator and the API server, as one small tree.

The type says whether trying again can help; `retry_after` says when the server wants to be asked again.
`cluster` raises them, `queue` and `reconcile` decide by them.
"""

from collections.abc import Mapping
from typing import Any

from .reason_words import spell_reason


class OperatorError(Exception):
    """Root of the operator's own errors."""


class ConfigurationError(OperatorError):
    """The operator was started with something that cannot work; the message says what to change."""


class LeaseLost(OperatorError):
    """Another replica leads, or may lead soon: this process must end."""


class ApiError(OperatorError):
    """The API server refused a request, or could not be reached (status 0)."""

    is_transient = False

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        super().__init__(f"{status} {reason}: {message}" if status else message)


class NotFound(ApiError):
    """404: the object, or its kind, does not exist."""


class AlreadyExists(ApiError):
    """409 on a create: the name is taken."""


class Conflict(ApiError):
    """409 on a write: what was read is not the newest."""

    is_transient = True


class Gone(ApiError):
    """410: the history a watch or a list wants to continue from is no longer kept."""


class Refused(ApiError):
    """400, 403 or 422: form, quota, admission, rights or validation; the server's words are for the user."""


class Unavailable(ApiError):
    """429, 5xx, a time-out or a lost connection: the same request may succeed later."""

    is_transient = True


class Garbled(Unavailable):
    """What came is no answer of an API server, or an error in place of an event. Where a watch stands after it is not
    known: it begins anew with a list."""


def is_forbidden(error: ApiError) -> bool:
    """Whether the API server itself says that there is no right to what was asked for: so it also does where a
    namespace is gone, and the role in it."""
    return isinstance(error, Refused) and error.reason == "Forbidden"


def api_error(status: int, body: Mapping[str, Any], retry_after: float | None) -> ApiError:
    """The error that an answer of the API server stands for; `body` is its Status object, or empty."""
    message = str(body.get("message") or "the API server gave no message")
    reason, message = spell_reason(
        str(body.get("reason") or "Unknown"), message, "Forbidden" if status < 500 else "InternalError"
    )
    return _type_of(status, reason)(status, reason, message, retry_after)


def _type_of(status: int, reason: str) -> type[ApiError]:
    if status == 404:
        return NotFound
    if status == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if status == 410:
        return Gone
    if status in (400, 403, 422):
        return Refused
    if status == 429 or status >= 500:
        return Unavailable
    return ApiError
