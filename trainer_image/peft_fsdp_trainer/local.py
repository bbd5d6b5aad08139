"""Plans a job for the machine at hand: the same validation and the same TrainerConfig as on a cluster.

Called by `peft-fsdp run`. What a workstation cannot give is refused here with all problems at once, before anything
starts; `local_run` then does what was planned.
"""

import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from peft_fsdp_api import names
from peft_fsdp_api.job import InvalidJob, PeftFsdpJob, parse_job
from peft_fsdp_api.manifest import load_jobs
from peft_fsdp_api.schema import Problem
from peft_fsdp_api.trainer_config import TrainerConfig, TrainerPaths, output_folder, trainer_config

from .gpus import visible_gpus
from .local_claims import job_mounts, local_source


@dataclass(frozen=True)
class LocalRun:
    """A job as it will run here. The scratch folder of `config` is the run's own: made and removed with it."""

    config: TrainerConfig
    processes: int
    environment: Mapping[str, str]
    notes: tuple[str, ...]
    """What is different from a cluster and worth saying."""


def read_job(file: Path) -> PeftFsdpJob:
    """The one job in a YAML file. Raises InvalidJob with every problem."""
    try:
        jobs = load_jobs(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidJob([Problem("", f"it cannot be read: {error}")]) from error
    except yaml.YAMLError as error:
        raise InvalidJob([Problem("", f"it is not YAML: {error}")]) from error
    except ValueError as error:
        raise InvalidJob([Problem("", str(error))]) from error
    if len(jobs) == 1:
        return parse_job(jobs[0])
    raise InvalidJob([Problem("", f"it holds {len(jobs)} objects of kind {names.KIND}; give a file with exactly one")])


def plan_run(
    job: PeftFsdpJob, file: Path, claims: Path, processes: int | None, environment: Mapping[str, str]
) -> LocalRun:
    """How the job runs here. Raises InvalidJob with everything that this machine or environment lacks."""
    claims = claims.absolute()
    problems = [*_worker_problems(job, processes), *_environment_problems(job, environment)]
    mounts = job_mounts(job, claims)
    sources = {
        "model": local_source("spec.model.source", job.spec.model.source, mounts),
        "dataset": local_source("spec.dataset.source", job.spec.dataset.source, mounts),
    }
    problems += [source for source in sources.values() if isinstance(source, Problem)]
    if problems:
        raise InvalidJob(problems)
    identified = _identify(job, file, claims)
    config = trainer_config(identified, _paths(identified, claims, environment))
    return LocalRun(
        config=_with_sources(config, {name: str(source) for name, source in sources.items()}),
        processes=processes or job.spec.workers.ranks_per_node,
        environment=_environment(job, claims, environment),
        notes=tuple(_notes(job)),
    )


def _worker_problems(job: PeftFsdpJob, processes: int | None) -> Iterator[Problem]:
    workers, sharding = job.spec.workers, job.spec.fsdp.sharding
    if workers.nodes > 1 and processes is None:
        yield Problem(
            "spec.workers.nodes",
            f"is {workers.nodes}, and this is one machine; set it to 1, or give --processes {workers.world_size} to "
            f"run all {workers.nodes} x {workers.ranks_per_node} ranks here",
        )
    if sharding == "hybrid":
        yield Problem("spec.fsdp.sharding", "hybrid needs several nodes, and this is one machine; use full")
    needed = processes or workers.ranks_per_node
    found = visible_gpus() if workers.gpus_per_node else 0
    if workers.gpus_per_node and found < needed:
        yield Problem(
            "spec.workers.gpusPerNode",
            f"the job needs {needed} GPUs, and CUDA sees {found} here; "
            + (f"give --processes {found}, or " if found else "")
            + "set gpusPerNode to 0 to train on CPUs (for a small model)",
        )


def _environment_problems(job: PeftFsdpJob, environment: Mapping[str, str]) -> Iterator[Problem]:
    for index, variable in enumerate(job.spec.workers.env):
        if variable.value_from is not None and variable.name not in environment:
            yield Problem(
                f"spec.workers.env[{index}]",
                f"{variable.name} takes its value from an object of a cluster; set {variable.name} in your environment",
            )
    if job.spec.hub.token_secret is not None and names.ENV_HUB_TOKEN not in environment:
        yield Problem(
            "spec.hub.tokenSecret",
            f"names a Secret of a cluster; set {names.ENV_HUB_TOKEN} in your environment to the token",
        )


def _identify(job: PeftFsdpJob, file: Path, claims: Path) -> PeftFsdpJob:
    """The same file with the same claims is the same job, so running it again goes on where it stopped."""
    metadata = job.metadata
    place = f"{file.resolve()}|{claims.resolve()}|{metadata.namespace}/{metadata.name}"
    uid = str(uuid.uuid5(uuid.NAMESPACE_URL, place))
    return job.model_copy(update={"metadata": metadata.model_copy(update={"uid": uid})})


def _paths(job: PeftFsdpJob, claims: Path, environment: Mapping[str, str]) -> TrainerPaths:
    volume = claims / job.spec.output.claim
    if job.spec.cache is not None:
        cache = claims / job.spec.cache.claim
    else:
        home = environment.get("XDG_CACHE_HOME")
        cache = (Path(home) if home else Path.home() / ".cache") / "peft-fsdp"
    return TrainerPaths(
        output=str(volume / output_folder(job)),
        volume=str(volume),
        cache=str(cache),
        scratch=str(Path(tempfile.gettempdir()) / f"peft-fsdp-{job.metadata.uid}"),
    )


def _with_sources(config: TrainerConfig, sources: Mapping[str, str]) -> TrainerConfig:
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update={"source": value}) for name, value in sources.items()}
    )


def _environment(job: PeftFsdpJob, claims: Path, environment: Mapping[str, str]) -> dict[str, str]:
    hub = job.spec.hub
    result = dict(environment)
    result.update({variable.name: variable.value for variable in job.spec.workers.env if variable.value is not None})
    if hub.endpoint is not None:
        result["HF_ENDPOINT"] = hub.endpoint
    if hub.offline:
        result["HF_HUB_OFFLINE"] = "1"
    if job.spec.cache is not None:
        result["HF_HOME"] = str(claims / job.spec.cache.claim / "huggingface")
    return result


def _notes(job: PeftFsdpJob) -> Iterator[str]:
    for index in range(len(job.spec.workers.env_from)):
        yield f"spec.workers.envFrom[{index}] is not read here; its variables are those of your environment"
