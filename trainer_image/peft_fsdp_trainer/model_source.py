"""Where the base model's files are: a folder, or a Hub snapshot that is downloaded once per node. Called by `train`."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import AutoTokenizer

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.spec import ModelSpec

from .errors import ModelNotAvailable, TrainerError
from .report import Reporter

WANTED_FILES: Final = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt", "*.jinja", "*.py"]
# Copies of the weights for other programs, several times as large as what is needed.
UNWANTED_FILES: Final = ["original/*", "onnx/*", "openvino/*", "consolidated*", "*.gguf"]
LOCK_POLL: Final = 1.0


@dataclass(frozen=True)
class ModelFolder:
    """A base model on disk."""

    source: str
    """What the job says: the Hub id or the path."""
    folder: Path
    revision: str | None
    """Commit of a Hub snapshot."""


def fetch_model(spec: ModelSpec, cache: Path, reporter: Reporter) -> ModelFolder:
    """The folder with the base model's files.

    Raises:
        ModelNotAvailable: the path, the Hub id or the revision does not exist, or access to it is not granted.
        TrainerError: the Hub did not answer.
    """
    if spec.source.startswith("/"):
        folder = Path(spec.source)
        if not (folder / "config.json").is_file():
            problem = "has no config.json" if folder.is_dir() else "does not exist"
            raise ModelNotAvailable(
                f"model.source {spec.source} {problem}",
                hint="Check the path and that workers.volumes and volumeMounts mount the claim.",
            )
        return ModelFolder(spec.source, folder, None)
    reporter.stage(Stage.DOWNLOAD)
    with _one_per_node(cache, reporter), _hub_errors(spec):
        folder = Path(
            snapshot_download(
                spec.source,
                revision=spec.revision,
                allow_patterns=WANTED_FILES,
                ignore_patterns=UNWANTED_FILES,
                tqdm_class=_progress_bar(reporter),
            )
        )
    return ModelFolder(spec.source, folder, folder.name)


def read_tokenizer(model: ModelFolder, spec: ModelSpec) -> Any:
    """The base model's tokenizer. Raises ModelNotAvailable where the folder has none."""
    try:
        return AutoTokenizer.from_pretrained(model.folder, trust_remote_code=spec.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelNotAvailable(f"{spec.source} has no tokenizer that transformers can read: {error}") from error


@contextlib.contextmanager
def _one_per_node(cache: Path, reporter: Reporter) -> Iterator[None]:
    """Hold the folder's lock; while another rank downloads, show signs of life."""
    cache.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache / ".model-download.lock")
    while not lock.is_locked:
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=LOCK_POLL)
        reporter.heartbeat()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _hub_errors(spec: ModelSpec) -> Iterator[None]:
    named = f"model {spec.source}" + (f" at revision {spec.revision}" if spec.revision else "")
    try:
        yield
    except GatedRepoError as error:
        raise ModelNotAvailable(
            f"{named} is gated and the token has no access to it",
            hint="Ask for access on the model's page and name the token's Secret in spec.hub.tokenSecret.",
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise ModelNotAvailable(f"{named} is not in the cache and the Hub cannot be reached: {error}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise ModelNotAvailable(f"{named} does not exist on the Hub, or the token may not see it") from error
    except HfHubHTTPError as error:
        raise TrainerError(f"the Hub did not deliver {named}: {error}") from error


def _progress_bar(reporter: Reporter) -> type:
    """A bar class for the Hub client that draws nothing and reports bytes, or files, to the launcher."""

    class ReportingBar(tqdm):  # type: ignore[misc]
        def __init__(self, *positional: Any, **named: Any) -> None:
            named.pop("name", None)
            super().__init__(*positional, **{**named, "disable": False, "file": _Nowhere()})

        def update(self, n: float | None = 1) -> bool | None:
            changed: bool | None = super().update(n)
            reporter.advance(int(self.n), int(self.total) if self.total else None)
            return changed

    return ReportingBar


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None
