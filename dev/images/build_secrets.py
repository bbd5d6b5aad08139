"""The machine's pip index and certificates, for the length of a build: mounted as secrets, never part of a layer."""

import configparser
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# Settings of pip that name where packages come from; all others are the image's own business.
_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert")
_CA_TARGET = "/run/build-ca.pem"


@contextmanager
def build_secrets() -> Iterator[list[str]]:
    """Arguments of `buildah bud` that give the Dockerfiles their secrets `pip` and `ca`."""
    settings = pip_settings(_configuration_files(), os.environ)
    authority = settings.get("cert") or os.environ.get("SSL_CERT_FILE")
    if authority:
        settings["cert"] = _CA_TARGET
    with TemporaryDirectory() as folder:
        configuration = Path(folder) / "pip.conf"
        configuration.write_text("".join(["[global]\n", *(f"{key} = {value}\n" for key, value in settings.items())]))
        arguments = [f"--secret=id=pip,src={configuration}"]
        if authority:
            arguments.append(f"--secret=id=ca,src={authority}")
        yield arguments


def pip_settings(files: Iterable[Path], environment: Mapping[str, str]) -> dict[str, str]:
    """Where pip gets packages from on this machine: later files win over earlier ones, the environment over all."""
    parser = configparser.RawConfigParser()
    parser.read(files)
    found: dict[str, str] = {}
    for key in _SETTINGS:
        for section in ("global", "install"):
            if parser.has_option(section, key):
                found[key] = parser.get(section, key)
        variable = f"PIP_{key.replace('-', '_').upper()}"
        if environment.get(variable):
            found[key] = environment[variable]
    return found


def _configuration_files() -> list[Path]:
    """pip's own places, in its order."""
    chosen = os.environ.get("PIP_CONFIG_FILE")
    home = Path.home()
    places = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    return [*places, Path(chosen)] if chosen else places
