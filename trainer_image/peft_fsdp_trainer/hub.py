"""Uploads to the Hugging Face Hub: the finished adapter, and the adapter of each checkpoint. Called on rank 0 only.

The token and the address come from the environment (HF_TOKEN, HF_ENDPOINT), as the Hub client documents.
"""

from concurrent.futures import Future
from pathlib import Path
from typing import Final

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from peft_fsdp_api.spec import PushToHubSpec

from .errors import HubPushFailed
from .hub_answer import denies_access
from .log import LOGGER

FAILURES: Final = (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, ValueError)

NO_ACCESS_HINT: Final = "Give hub.tokenSecret a token that may write there, or take output.pushToHub out of the job."


class HubRepository:
    """The repository that `output.pushToHub` names. A name without a namespace is in that of the token's owner; only
    the Hub knows who that is, and it takes commits under the whole id alone."""

    def __init__(self, spec: PushToHubSpec) -> None:
        self._spec = spec
        self._api = HfApi()
        self._whole_id: str | None = None
        self._under_way: tuple[Path, Future[None]] | None = None

    def prepare(self) -> None:
        """Make the repository before anything is trained: that the token may not is known at once, and not after weeks.
        A Hub that is away may be back by then. Raises HubPushFailed."""
        try:
            self._create()
        except FAILURES as error:
            if isinstance(error, HfHubHTTPError) and denies_access(error):
                message = f"the Hub does not let this token push to {self._spec.repo}: {error}"
                raise HubPushFailed(message, hint=NO_ACCESS_HINT) from error
            LOGGER.warning(
                "the Hub could not be asked whether it takes the adapter into %s: %s", self._spec.repo, error
            )

    def push(self, folder: Path, message: str) -> str:
        """Upload a folder as one commit. Returns the whole id of the repository. Raises HubPushFailed."""
        try:
            repo = self._create()
            self._api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
        except FAILURES as error:
            repo = self._whole_id or self._spec.repo
            raise HubPushFailed(f"the Hub did not take the adapter into {repo}: {error}") from error
        return repo

    def push_beside(self, folder: Path, message: str) -> None:
        """Upload a folder while the training goes on, which needs no Hub: what fails is logged, and the next one holds
        all that it would have brought. So does the next one where an earlier upload still lasts."""
        if self.reading is not None:
            LOGGER.warning("the Hub still takes an earlier checkpoint: the adapter of %s is not pushed", message)
            return
        self._under_way = folder, self._api.run_as_future(self._try, folder, message)

    @property
    def reading(self) -> Path | None:
        """The folder that is being uploaded and must not be removed."""
        if self._under_way is None or self._under_way[1].done():
            return None
        return self._under_way[0]

    def wait(self) -> None:
        """Wait for the upload under way: an older adapter must not arrive after a newer one."""
        if self._under_way is not None:
            self._under_way[1].result()

    def _try(self, folder: Path, message: str) -> None:
        try:
            self.push(folder, message)
        except HubPushFailed as error:
            LOGGER.warning("%s; the training goes on, and the next checkpoint is pushed again", error.message)

    def _create(self) -> str:
        if self._whole_id is None:
            made = self._api.create_repo(self._spec.repo, private=self._spec.private, exist_ok=True)
            self._whole_id = made.repo_id
        return self._whole_id
