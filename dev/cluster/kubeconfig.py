"""Kubeconfig files: one per program, each with its own client certificate, all of them files of the instance."""

import base64
from pathlib import Path

import yaml


def write_kubeconfig(path: Path, server: str, certificates: Path, client: str) -> Path:
    """The certificates are embedded, so the file of a user still works when it is copied elsewhere."""
    entry = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "peft-fsdp",
                "cluster": {"server": server, "certificate-authority-data": _encoded(certificates / "ca.crt")},
            }
        ],
        "users": [
            {
                "name": client,
                "user": {
                    "client-certificate-data": _encoded(certificates / f"{client}.crt"),
                    "client-key-data": _encoded(certificates / f"{client}.key"),
                },
            }
        ],
        "contexts": [{"name": "peft-fsdp", "context": {"cluster": "peft-fsdp", "user": client}}],
        "current-context": "peft-fsdp",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(entry, sort_keys=False))
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
