"""The cluster's own certificate authority and one client certificate per program, made with openssl.

control_plane.py and node.py call this; the files lie in the instance's `pki` folder and go with it.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dev.cluster.errors import ClusterError

# User and group names are what Kubernetes' bootstrap RBAC and the Node authorizer expect.
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "coredns": "/CN=system:coredns",
    "apiserver-kubelet-client": "/O=system:masters/CN=kube-apiserver",
}
_DAYS = "3650"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def make_authority(folder: Path) -> None:
    """The CA and the key pair that signs service account tokens."""
    if (folder / "service-account.pub").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _openssl(
        "req", "-x509", *_NEW_KEY, "-days", _DAYS, "-subj", "/CN=peft-fsdp-cluster",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt"),
    )  # fmt: skip
    key = str(folder / "service-account.key")
    _openssl("genrsa", "-out", key, "2048")
    _openssl("rsa", "-in", key, "-pubout", "-out", str(folder / "service-account.pub"))


def make_client(folder: Path, name: str, subject: str) -> None:
    _make_signed(folder, name, subject, ["extendedKeyUsage=clientAuth"])


def make_server(folder: Path, name: str, names: Sequence[str]) -> None:
    """`names` are complete subject alternative names such as `IP:127.0.0.1` and `DNS:localhost`."""
    _make_signed(folder, name, f"/CN={name}", [f"subjectAltName={','.join(names)}", "extendedKeyUsage=serverAuth"])


def _make_signed(folder: Path, name: str, subject: str, extensions: Sequence[str]) -> None:
    certificate = folder / f"{name}.crt"
    if certificate.exists():
        return
    added = [argument for extension in extensions for argument in ("-addext", extension)]
    _openssl(
        "req", "-x509", "-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), *_NEW_KEY, "-days", _DAYS,
        "-subj", subject, "-addext", "basicConstraints=critical,CA:FALSE", *added,
        "-keyout", str(folder / f"{name}.key"), "-out", str(certificate),
    )  # fmt: skip


def _openssl(*arguments: str) -> None:
    result = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]} failed: {result.stderr.strip()}")
