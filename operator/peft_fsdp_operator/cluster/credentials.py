"""Where the API server is and how to prove who we are: the pod's service account, or a kubeconfig file.

Read by `session` and, before anything else, by `handlers`. The official client could do this too, but importing it
costs a second and forty MiB.
"""

import base64
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from ..errors import ConfigurationError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Credentials:
    """Address and identity. `token_file` is read again now and then, because the kubelet renews it."""

    server: str
    namespace: str
    tls: ssl.SSLContext | None
    token: str | None = None
    token_file: Path | None = None


def find_credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Those of `KUBECONFIG`, else of the pod, else of `~/.kube/config`. Raises ConfigurationError."""
    if named := environment.get("KUBECONFIG"):
        return _from_kubeconfig(Path(named))
    if (SERVICE_ACCOUNT / "token").exists() and "KUBERNETES_SERVICE_HOST" in environment:
        return _from_service_account(environment)
    default = Path.home() / ".kube" / "config"
    if default.exists():
        return _from_kubeconfig(default)
    raise ConfigurationError("no cluster: set KUBECONFIG, or run inside a pod with a service account token")


def _from_service_account(environment: Mapping[str, str]) -> Credentials:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT", "443")
    if ":" in host:
        host = f"[{host}]"
    return Credentials(
        server=f"https://{host}:{port}",
        namespace=(SERVICE_ACCOUNT / "namespace").read_text().strip(),
        tls=ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt")),
        token_file=SERVICE_ACCOUNT / "token",
    )


def _from_kubeconfig(path: Path) -> Credentials:
    if not path.exists():
        raise ConfigurationError(f"the kubeconfig {path} does not exist")
    config = yaml.safe_load(path.read_text())
    context = _named(config, "contexts", config.get("current-context"), "context", path)
    cluster = _named(config, "clusters", context.get("cluster"), "cluster", path)
    user = _named(config, "users", context.get("user"), "user", path)
    if "exec" in user or "auth-provider" in user:
        raise ConfigurationError(
            f"{path}: user {context.get('user')!r} logs in through a program, which is not supported; "
            "use a token or a client certificate (`kubectl create token`)"
        )
    server = str(cluster["server"])
    token_file = user.get("tokenFile")
    return Credentials(
        server=server.rstrip("/"),
        namespace=str(context.get("namespace") or "default"),
        tls=_tls(cluster, user, path.parent) if server.startswith("https") else None,
        token=user.get("token"),
        token_file=path.parent / token_file if token_file else None,
    )


def _named(config: Mapping[str, Any], section: str, name: str | None, key: str, path: Path) -> dict[str, Any]:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            return dict(entry.get(key) or {})
    raise ConfigurationError(f"{path} has no {key} named {name!r}")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", folder), _pem(user, "client-key", folder)
    if certificate and key:
        with TemporaryDirectory() as private:  # Python's ssl loads a key pair from files only
            (chain := Path(private) / "pair.pem").touch(mode=0o600)
            chain.write_text(f"{certificate}\n{key}\n")
            context.load_cert_chain(str(chain))
    return context


def _pem(section: Mapping[str, Any], name: str, folder: Path) -> str | None:
    if data := section.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    if file := section.get(name):
        return (folder / str(file)).read_text()
    return None
