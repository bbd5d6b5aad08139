"""The image that holds a pod's network namespace: our pause program in a one-layer archive that containerd imports."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from dev.cluster.layout import bin_dir, cache_dir

PAUSE_IMAGE = "localhost/peft-fsdp-pause:1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def pause_archive() -> Path:
    """A file as `docker save` writes it: a layer, a configuration, and a manifest that names both."""
    layer = _tar({"pause": (bin_dir() / "pause").read_bytes()}, mode=0o755)
    configuration = json.dumps(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer, "config.json": configuration, "manifest.json": json.dumps(manifest).encode()}
    path = cache_dir() / "pause.tar"
    path.write_bytes(_tar(files, mode=0o644))
    return path


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
