"""Follows a job: one line for every change of what a person would look at."""

import time
from collections.abc import Iterator
from typing import Any

from dev.demo.target import DemoError, Target


def follow(target: Target, namespace: str, name: str, timeout: float) -> dict[str, Any]:
    """Print the status of a job line by line until it ends, and return the object.

    Raises DemoError when it has not ended after `timeout` seconds.
    """
    started = time.monotonic()
    shown = ""
    while time.monotonic() - started < timeout:
        job = target.get("-n", namespace, "pfj", name)
        line = describe(job.get("status", {}))
        if line != shown:
            print(f"  {time.monotonic() - started:5.0f} s  {line}", flush=True)
            shown = line
        if job.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return job
        time.sleep(0.5)
    raise DemoError(f"{name} has not ended after {timeout:.0f} s; it is: {shown}")


def describe(status: dict[str, Any]) -> str:
    """Phase, attempt, waiting reason, progress and failure of a status, in one line."""
    return "  ".join(_parts(status)) or "(no status yet)"


def _parts(status: dict[str, Any]) -> Iterator[str]:
    if phase := status.get("phase"):
        yield f"{phase:<10} attempt {status.get('attempt', 0)}"
    if waiting := status.get("waiting"):
        yield f"waiting: {waiting['reason']}: {waiting['message']}"
    if progress := status.get("progress"):
        yield progress["stage"] + (f" {progress['summary']}" if progress.get("summary") else "")
        if "loss" in progress:
            yield f"loss {progress['loss']:.3f}"
        if "remaining" in progress:
            yield f"{progress['remaining']} left"
    if status.get("phase") != "Succeeded" and (failure := status.get("lastFailure")):
        yield f"last failure: {failure['reason']}: {failure['message'].splitlines()[0]}"
    if adapter := status.get("adapter"):
        yield f"adapter {adapter['path']}, {adapter['sizeBytes']:,} bytes"
