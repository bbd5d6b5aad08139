"""Uploads to the Hugging Face Hub: the finished adapter, and the adapter of each checkpoint. Called on rank 0 only.

The token and the address come from the environment (HF_TOKEN, HF_ENDPOINT), as the Hub client documents.
"""

from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from peft_fsdp_api.spec import PushToHubSpec

from .errors import HubPushFailed

FAILURES: Final = (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, ValueError)
CHECKPOINT_HINT: Final = (
    "The checkpoint is complete in the output, and the next attempt goes on from it: check the token's write access, "
    "or set output.pushToHub.when to end."
)


class HubRepository:
    """The repository that `output.pushToHub` names. A name without a namespace is in that of the token's owner; only
    the Hub knows who that is, and it takes commits under the whole id alone."""

    def __init__(self, spec: PushToHubSpec) -> None:
        self._spec = spec
        self._api = HfApi()
        self._whole_id: str | None = None
        self._in_background: Future[Any] | None = None

    def push(self, folder: Path, message: str) -> str:
        """Upload a folder as one commit, after what is still being uploaded. Returns the whole id of the repository.

        Raises:
            HubPushFailed: the Hub did not take it, or did not take the one before.
        """
        self.wait()
        try:
            repo = self._create()
            self._api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
        except FAILURES as error:
            raise self._failed(error) from error
        return repo

    def push_in_background(self, folder: Path, message: str) -> None:
        """Begin to upload a folder. A failure is raised by the next call."""
        self.wait()
        try:
            repo = self._create()
        except FAILURES as error:
            raise self._failed(error, CHECKPOINT_HINT) from error
        self._in_background = self._api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message, run_as_future=True
        )

    def wait(self) -> None:
        """Wait for the upload in progress. Raises HubPushFailed where it fails."""
        if self._in_background is None:
            return
        upload, self._in_background = self._in_background, None
        try:
            upload.result()
        except FAILURES as error:
            raise self._failed(error, CHECKPOINT_HINT) from error

    def _create(self) -> str:
        if self._whole_id is None:
            made = self._api.create_repo(self._spec.repo, private=self._spec.private, exist_ok=True)
            self._whole_id = made.repo_id
        return self._whole_id

    def _failed(self, error: Exception, hint: str | None = None) -> HubPushFailed:
        repo = self._whole_id or self._spec.repo
        return HubPushFailed(f"the Hub did not take the adapter into {repo}: {error}", hint=hint)
