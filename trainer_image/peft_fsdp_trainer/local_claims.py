"""Where the volumes of a job lie on a workstation: claim X is the folder CLAIMS/X. Used by `local`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob
from peft_fsdp_api.schema import Problem
from peft_fsdp_api.spec import VolumeMount


@dataclass(frozen=True)
class Mount:
    """A folder of the container and what stands for it here; `folder` is None for volumes only a cluster has."""

    path: str
    folder: Path | None
    volume: str


def job_mounts(job: PeftFsdpJob, claims: Path) -> list[Mount]:
    """The mounts of the trainer container, the most specific path first."""
    workers = job.spec.workers
    volumes = {str(volume.get("name")): volume for volume in workers.volumes}
    mounts = [_user_mount(mount, volumes.get(mount.name, {}), claims) for mount in workers.volume_mounts]
    mounts.append(Mount(names.OUTPUT_MOUNT, claims / job.spec.output.claim, job.spec.output.claim))
    if job.spec.cache is not None:
        mounts.append(Mount(names.CACHE_MOUNT, claims / job.spec.cache.claim, job.spec.cache.claim))
    return sorted(mounts, key=lambda mount: len(mount.path), reverse=True)


def _user_mount(mount: VolumeMount, volume: dict[str, Any], claims: Path) -> Mount:
    folder: Path | None = None
    if "persistentVolumeClaim" in volume:
        folder = claims / str(volume["persistentVolumeClaim"].get("claimName", ""))
    elif "hostPath" in volume:
        folder = Path(str(volume["hostPath"].get("path", "/")))
    if folder is not None and mount.sub_path:
        folder /= mount.sub_path
    return Mount(mount.mount_path, folder, mount.name)


def local_source(field: str, source: str, mounts: list[Mount]) -> str | Problem:
    """The source as this machine knows it: Hub ids as they are, paths below a mount mapped into its folder."""
    if not source.startswith("/"):
        return source
    mount = next((mount for mount in mounts if source == mount.path or source.startswith(mount.path + "/")), None)
    if mount is not None and mount.folder is None:
        return Problem(
            field,
            f"{source} lies in the volume {mount.volume}, which only a cluster has; here a persistentVolumeClaim or a "
            "hostPath can stand for a folder",
        )
    path = Path(source)
    if mount is not None and mount.folder is not None:
        path = mount.folder / source.removeprefix(mount.path).lstrip("/")
    if not path.exists():
        return Problem(field, _missing(source, path, mount))
    if any(character.isspace() for character in str(path)):
        return Problem(field, f"{path} has a space in it, which a source must not have; move it or use other --claims")
    return str(path)


def _missing(source: str, path: Path, mount: Mount | None) -> str:
    if mount is None:
        return (
            f"nothing is at {source} on this machine, and no volume of the job is mounted above it; "
            "give a path that exists here, or mount a claim there in workers.volumes and workers.volumeMounts"
        )
    return (
        f"{source} is {path} on this machine, and nothing is there; create it, for example by "
        f"`mkdir -p {path.parent}` and copying or linking your folder to {path}, or say with --claims where "
        "the folders of your claims are"
    )
