"""Where the base model's files are: a folder, or a Hub snapshot. Called by `train` and `merge`.

The first rank of each node downloads; the others wait, and then take what is in the cache. Nodes that share a cache
take turns, so the second finds what the first has downloaded.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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

from .disk_space import naming_full_disk
from .distributed import Ranks
from .errors import ModelNotAvailable, TrainerError
from .hub_answer import NO_ACCESS_HINT, UNREACHABLE_HINT, denies_access
from .report import Reporter
from .turns import one_at_a_time

WANTED_FILES: Final = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt", "*.jinja", "*.py"]
# Copies of the weights for other programs, several times as large as what is needed.
UNWANTED_FILES: Final = ["original/*", "onnx/*", "openvino/*", "consolidated*", "*.gguf"]
LOCK: Final = ".model-download.lock"
POLL: Final = 1.0


@dataclass(frozen=True)
class ModelFolder:
    """A base model on disk."""

    source: str
    """What the job says: the Hub id or the path."""
    folder: Path
    revision: str | None
    """Commit of a Hub snapshot."""


def fetch_model(spec: ModelSpec, cache: Path, ranks: Ranks, reporter: Reporter) -> ModelFolder:
    """The folder with the base model's files. Every rank must call it.

    Raises:
        ModelNotAvailable: the path, the Hub id or the revision does not exist, or access to it is not granted.
        DiskFull: the cache has no room for it.
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
    download = _start_download(spec, cache, reporter) if ranks.is_first_on_node else None
    _wait_together(download, ranks, reporter)
    revision = _agreed_commit(spec, download, ranks)
    with _hub_errors(spec):
        folder = download.result() if download else _snapshot(spec, revision, local_files_only=True)
    return ModelFolder(spec.source, folder, revision)


def read_tokenizer(model: ModelFolder, spec: ModelSpec) -> Any:
    """The base model's tokenizer. Raises ModelNotAvailable where the folder has none."""
    try:
        return AutoTokenizer.from_pretrained(model.folder, trust_remote_code=spec.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelNotAvailable(f"{spec.source} has no tokenizer that transformers can read: {error}") from error


def _start_download(spec: ModelSpec, cache: Path, reporter: Reporter) -> Future[Path]:
    """Begin to bring the snapshot into the cache, on a thread of its own."""

    def download() -> Path:
        cache.mkdir(parents=True, exist_ok=True)
        full = naming_full_disk(cache, f"model {spec.source}")
        with full, one_at_a_time(cache / LOCK, reporter.heartbeat), _hub_errors(spec):
            return _snapshot(spec, spec.revision, tqdm_class=_progress_bar(reporter))

    thread = ThreadPoolExecutor(1, thread_name_prefix="model-download")
    future = thread.submit(download)
    thread.shutdown(wait=False)
    return future


def _snapshot(spec: ModelSpec, revision: str | None, **options: Any) -> Path:
    return Path(
        snapshot_download(
            spec.source, revision=revision, allow_patterns=WANTED_FILES, ignore_patterns=UNWANTED_FILES, **options
        )
    )


def _wait_together(download: Future[Path] | None, ranks: Ranks, reporter: Reporter) -> None:
    """Until no node downloads any more, in short exchanges: one collective that waits for hours would time out."""
    busy = True
    while busy:
        if download is None:
            reporter.heartbeat()
        else:
            wait([download], timeout=POLL)
        busy = bool(ranks.sum([download is not None and not download.done()])[0])


def _agreed_commit(spec: ModelSpec, download: Future[Path] | None, ranks: Ranks) -> str:
    """The commit that every node has. Raises on every rank what any download raised."""
    answers = ranks.gather(_answer(spec, download))
    if download is not None:
        download.result()
    for answer in answers:
        if isinstance(answer, TrainerError):
            raise answer
    commits = {answer for answer in answers if isinstance(answer, str)}
    if len(commits) > 1:
        raise ModelNotAvailable(
            f"model {spec.source} changed while it was downloaded: the nodes have different commits",
            hint="Give model.revision.",
        )
    return commits.pop()


def _answer(spec: ModelSpec, download: Future[Path] | None) -> str | TrainerError | None:
    """What the other ranks are told of a download: its commit, or what it met."""
    if download is None:
        return None
    error = download.exception()
    if error is None:
        return download.result().name
    if isinstance(error, TrainerError):
        return error
    return TrainerError(f"model {spec.source} could not be downloaded: {type(error).__name__}: {error}")


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
        # The client says so too where the Hub answered, or did not; what it met is the cause.
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise _refusal(named, cause) from error
        if cause is not None and not isinstance(cause, OfflineModeIsEnabled | LocalEntryNotFoundError):
            raise TrainerError(f"the Hub cannot be reached for {named}: {cause}", hint=UNREACHABLE_HINT) from error
        raise ModelNotAvailable(f"{named} is not in the cache and the Hub cannot be reached: {error}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise ModelNotAvailable(f"{named} does not exist on the Hub, or the token may not see it") from error
    except HfHubHTTPError as error:
        raise _refusal(named, error) from error


def _refusal(named: str, error: HfHubHTTPError) -> TrainerError:
    """What an answer of the Hub with an error means: no access, or trouble that may pass."""
    if denies_access(error):
        return ModelNotAvailable(f"{named}: the Hub refuses the token or asks for one: {error}", hint=NO_ACCESS_HINT)
    return TrainerError(f"the Hub did not deliver {named}: {error}", hint=UNREACHABLE_HINT)


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
