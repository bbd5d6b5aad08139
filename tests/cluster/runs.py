"""A test's namespace: apply jobs, wait for what a user would see, and touch the pods as faults do.

What is waited for is asked over HTTP: kubectl takes a tenth of a second of processor time for each look, from the pods.
"""

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dev.demo.target import Target
from peft_fsdp_api.names import LAUNCHER_PORT, PROGRESS_PATH
from peft_fsdp_api.progress import Progress
from peft_fsdp_operator.cluster import JOBS, PODS, Credentials, find_credentials

TIMEOUT = 900.0
"""Seconds; a bound for what is broken, not a figure."""


@dataclass(frozen=True)
class Runs:
    """Jobs in one namespace and the folder behind its output claim."""

    target: Target
    namespace: str
    output: Path

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.target.run("-n", self.namespace, *arguments, input=input)

    def apply(self, job: dict[str, Any]) -> str:
        self.kubectl("apply", "-f", "-", input=json.dumps(job))
        return str(job["metadata"]["name"])

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._ask(JOBS.path(self.namespace, name))).get("status", {})
        return status

    def pods(self, name: str) -> list[dict[str, Any]]:
        selector = f"?labelSelector=training.peft-fsdp.io/job={name}"
        items: list[dict[str, Any]] = json.loads(self._ask(PODS.path(self.namespace) + selector))["items"]
        return items

    def _ask(self, path: str) -> bytes:
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._credentials.tls))
        opener = urllib.request.build_opener(*handlers)
        with opener.open(f"{self._credentials.server}{path}", timeout=30) as response:
            return bytes(response.read())

    @cached_property
    def _credentials(self) -> Credentials:
        return find_credentials({"KUBECONFIG": str(self.target.kubeconfig)})

    def wait(self, name: str, holds: Callable[[dict[str, Any]], bool], timeout: float = TIMEOUT) -> dict[str, Any]:
        """The first status for which `holds`; fails with the last one seen, or at once if the job ended before."""
        end = time.monotonic() + timeout
        while True:
            status = self.status(name)
            if holds(status):
                return status
            ended = status.get("phase") in ("Succeeded", "Failed")
            if ended or time.monotonic() > end:
                raise AssertionError(f"{name} did not get there: {json.dumps(status, indent=1)}\n{self.logs(name)}")
            time.sleep(0.3)

    def wait_for_phase(self, name: str, phase: str, timeout: float = TIMEOUT) -> dict[str, Any]:
        return self.wait(name, lambda status: status.get("phase") == phase, timeout)

    def running_pods(self, name: str, attempt: int = 1) -> dict[str, str]:
        """Uid of each pod of an attempt by its name, once the attempt has committed a checkpoint of its own."""
        before = self.saved_step(name) if attempt > 1 else 0
        self.wait(name, lambda status: status.get("attempt") == attempt and self.saved_step(name) > before)
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self.pods(name)}

    def saved_step(self, name: str) -> int:
        """Step of the newest checkpoint on the volume: at once, where status may be ten seconds behind."""
        return max((int(path.name[5:]) for path in (self.output / name / "checkpoints").glob("step-*")), default=0)

    def wait_for_training(self, name: str, step: int = 2) -> None:
        """Until the first attempt's first launcher tells of that step; for jobs that save nothing meanwhile."""
        self.wait(name, lambda status: self._told_step(f"{name}-1-0") >= step)

    def _told_step(self, pod: str) -> int:
        """0 before the launcher answers."""
        path = PODS.path(self.namespace, f"{pod}:{LAUNCHER_PORT}", f"proxy{PROGRESS_PATH}")
        try:
            told = Progress.model_validate_json(self._ask(path)).training
        except urllib.error.HTTPError:
            return 0
        return told.step if told else 0

    def logs(self, name: str) -> str:
        """The end of the logs of every pod of a job, for the message of a failed test."""
        selector = f"training.peft-fsdp.io/job={name}"
        return self.target.run("-n", self.namespace, "logs", "-l", selector, "--prefix", "--tail=15", check=False)

    def shell(self, pod: str, command: str) -> str:
        return self.kubectl("exec", pod, "--", "sh", "-c", command)

    @staticmethod
    def fill(folder: Path, source: Path) -> None:
        """Put the content of a folder into a claim's folder, readable by the pods' user."""
        shutil.copytree(source, folder, dirs_exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
