"""What the Hub answered, where its client or the datasets library failed. Used by `model_source` and `data.hub`.

Both bury the answer below errors of their own: a server that is overloaded comes out as a file that is not found.
"""

from typing import Final

from huggingface_hub.errors import HfHubHTTPError

NO_ACCESS: Final = (401, 403)
UNREACHABLE_HINT: Final = (
    "Check hub.endpoint and what the pods may reach; what is in cache.claim needs no Hub (hub.offline)."
)
NO_ACCESS_HINT: Final = "Put a token that is valid and may read it into the Secret of spec.hub.tokenSecret."


def answer_behind(error: BaseException) -> HfHubHTTPError | None:
    """The answer that led to an error; None where no server answered."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError):
        cause = cause.__cause__ or cause.__context__
    return cause


def denies_access(answer: HfHubHTTPError) -> bool:
    """Whether the same would be answered next time, unlike trouble that passes."""
    return answer.response is not None and answer.response.status_code in NO_ACCESS
