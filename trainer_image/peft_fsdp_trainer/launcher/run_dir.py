"""Reads what the ranks left in the run folder: their reports while they run, their failures at the end."""

from pathlib import Path

from peft_fsdp_api.progress import Progress, RankProgress

from ..failure import RankFailure, failure_path
from ..report import RankReport, report_path
from .settings import Placement


def read_reports(directory: Path, ranks: range) -> dict[int, RankReport]:
    """The reports of the ranks that have written one."""
    found = ((rank, report_path(directory, rank)) for rank in ranks)
    return {rank: RankReport.model_validate_json(path.read_bytes()) for rank, path in found if path.exists()}


def read_failures(directory: Path, ranks: range) -> dict[int, RankFailure]:
    """The failures of the ranks that have left one."""
    found = ((rank, failure_path(directory, rank)) for rank in ranks)
    return {rank: RankFailure.model_validate_json(path.read_bytes()) for rank, path in found if path.exists()}


def read_progress(directory: Path, placement: Placement) -> Progress:
    """The answer of this launcher to the question how far it is."""
    reports = read_reports(directory, placement.ranks)
    first = reports.get(0)
    return Progress(
        attempt=placement.attempt,
        node_rank=placement.node_rank,
        ranks=[_with_state(report) for report in reports.values()],
        training=first.training if first else None,
        execution=first.execution if first else None,
        checkpoint=first.checkpoint if first else None,
        adapter=first.adapter if first else None,
    )


def _with_state(report: RankReport) -> RankProgress:
    """A rank that was stopped by a signal, or waits for a disk that does not answer, cannot say so itself."""
    return report.progress.model_copy(update={"process_state": process_state(report.pid)})


def process_state(pid: int) -> str | None:
    """The letter that the kernel shows for a process (proc(5)); None for one that has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return after_name.split()[0]
