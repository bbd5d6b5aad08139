"""The fields that the options of `convert` give, each with the sentence that says what was chosen."""

import re
from pathlib import PurePosixPath

from .draft import Draft
from .options import (
    CPUS_PER_GPU,
    DEFAULT_CLAIM,
    DEFAULT_TOKEN_SECRET,
    GIB_PER_GPU,
    GIB_PER_GPU_OFFLOADED,
    Options,
)


def choose(draft: Draft, options: Options) -> str:
    """Add what flags and file cannot know to the draft, and return the job's name."""
    folder = str(PurePosixPath(draft.value("--output_dir", "")))
    folder = "" if folder == "." else folder
    _output(draft, options, folder)
    _cache(draft, options)
    _hub(draft, options, PurePosixPath(folder).name)
    _resources(draft, options)
    _version(draft, options)
    return _job_name(draft, options, PurePosixPath(folder).name)


def _job_name(draft: Draft, options: Options, folder: str) -> str:
    if options.name is not None:
        return options.name
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    if not name:
        draft.refuse("--name", "give the job's name here, or an --output_dir to take it from")
    return name


def _output(draft: Draft, options: Options, folder: str) -> None:
    if options.claim is None:
        draft.choices.append(f"output.claim is {DEFAULT_CLAIM}; --claim names another PersistentVolumeClaim.")
    draft.put("output.claim", options.claim or DEFAULT_CLAIM)
    if folder:
        draft.put("output.path", folder, "--output_dir")


def _cache(draft: Draft, options: Options) -> None:
    """No claim is chosen: a job waits for one that does not exist, and a small base needs none."""
    if options.cache_claim is not None:
        draft.put("cache.claim", options.cache_claim)
        return
    draft.choices.append(
        "There is no cache, so each attempt downloads the base and prepares the data anew; --cache-claim names a "
        "PersistentVolumeClaim that keeps both."
    )


def _hub(draft: Draft, options: Options, folder: str) -> None:
    flags = {"--hub_private_repo": "private", "--hub_strategy": "when"}
    pushes = draft.value("--push_to_hub", False)
    if pushes or options.token_secret:
        draft.put("hub.tokenSecret", options.token_secret or DEFAULT_TOKEN_SECRET)
    if not pushes:
        for flag in ("--push_to_hub", "--hub_model_id", *flags):
            draft.drop(flag, "Nothing is pushed to the Hub.")
        return
    if options.token_secret is None:
        draft.choices.append(
            f"hub.tokenSecret is {DEFAULT_TOKEN_SECRET}; --token-secret names another Secret with the key token."
        )
    repository = draft.value("--hub_model_id", folder)
    if not repository:
        draft.refuse("--push_to_hub", "needs a repository; give --hub_model_id or --output_dir")
    draft.put("output.pushToHub.repo", repository, "--hub_model_id")
    draft.explain("output.pushToHub", "--push_to_hub")
    for flag, field in flags.items():
        if draft.has(flag):
            draft.put(f"output.pushToHub.{field}", draft.value(flag), flag)


def _resources(draft: Draft, options: Options) -> None:
    """CPU and memory of a pod by its GPUs, enough for the guide's two runs."""
    gpus = draft.fields.get("workers.gpusPerNode", 0)
    each = GIB_PER_GPU_OFFLOADED if draft.value("fsdp_offload_params", False) else GIB_PER_GPU
    cpu: int | str | None = options.cpu or (CPUS_PER_GPU * gpus if gpus else None)
    memory = options.memory or (f"{each * gpus}Gi" if gpus else None)
    if gpus and (options.cpu is None or options.memory is None):
        draft.choices.append(
            f"workers.resources.requests is {CPUS_PER_GPU} CPUs and {each}Gi per GPU"
            f"{' with offloading' if each == GIB_PER_GPU_OFFLOADED else ''}; --cpu and --memory change it."
        )
    if cpu is not None:
        draft.put("workers.resources.requests.cpu", int(cpu) if str(cpu).isdecimal() else cpu)
    if memory is not None:
        draft.put("workers.resources.requests.memory", memory)


def _version(draft: Draft, options: Options) -> None:
    draft.explain("fsdp.version", "fsdp_version")
    if options.fsdp_version != 2:
        draft.put("fsdp.version", options.fsdp_version, "fsdp_version")
        return
    asked = draft.value("fsdp_version")
    states = "states none, which means 1 there" if asked is None else f"says {asked}"
    if asked != 2:
        draft.choices.append(f"fsdp.version is 2; the Accelerate file {states}. --fsdp-version 1 asks for that mode.")
