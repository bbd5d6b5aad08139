"""How the operator was started: flags of `peft-fsdp-operator run`, each with an environment variable of its own.

Read once by `cli`; nothing else looks at the environment.
"""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from .errors import ConfigurationError

ENVIRONMENT_PREFIX: Final = "PEFT_FSDP_OPERATOR_"
LEASE_NAME: Final = "peft-fsdp-operator"


@dataclass(frozen=True)
class Settings:
    """Defaults stand in `add_flags`."""

    trainer_image: str
    namespaces: tuple[str, ...]
    """Empty means the whole cluster."""
    election: bool
    lease_namespace: str | None
    lease_name: str
    identity: str
    metrics_address: str
    metrics_port: int
    concurrency: int
    log_format: Literal["text", "json"]
    log_level: str


def add_flags(parser: argparse.ArgumentParser, environment: Mapping[str, str] = os.environ) -> None:
    """The flags of `run`; what the environment holds is their default."""

    def given(name: str, default: str) -> str:
        return environment.get(ENVIRONMENT_PREFIX + name, default)

    parser.add_argument(
        "--trainer-image", default=given("TRAINER_IMAGE", ""), help="image of jobs without workers.image (required)"
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=None,
        help="watch this namespace only; may be repeated (environment: comma-separated NAMESPACES)",
    )
    parser.add_argument("--no-election", action="store_true", default=given("NO_ELECTION", "") == "true")
    parser.add_argument("--lease-namespace", default=given("LEASE_NAMESPACE", ""), help="default: the operator's own")
    parser.add_argument(
        "--lease-name", default=given("LEASE_NAME", LEASE_NAME), help="operators with one name take turns (%(default)s)"
    )
    parser.add_argument("--identity", default=given("IDENTITY", socket.gethostname()), help="name in the Lease")
    parser.add_argument("--metrics-address", default=given("METRICS_ADDRESS", ""), help="default: all addresses")
    parser.add_argument("--metrics-port", type=int, default=given("METRICS_PORT", "8080"))
    parser.add_argument("--concurrency", type=int, default=given("CONCURRENCY", "16"), help="jobs at a time")
    parser.add_argument("--log-format", choices=("text", "json"), default=given("LOG_FORMAT", "text"))
    parser.add_argument("--log-level", default=given("LOG_LEVEL", "INFO"))


def read_settings(flags: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in parsed flags. Raises ConfigurationError."""
    if not flags.trainer_image:
        raise ConfigurationError("give --trainer-image, the image that jobs run on when they name none")
    named: Sequence[str] = flags.namespace or environment.get(ENVIRONMENT_PREFIX + "NAMESPACES", "").split(",")
    return Settings(
        trainer_image=flags.trainer_image,
        namespaces=tuple(name.strip() for name in named if name.strip()),
        election=not flags.no_election,
        lease_namespace=flags.lease_namespace or None,
        lease_name=flags.lease_name,
        identity=flags.identity,
        metrics_address=flags.metrics_address,
        metrics_port=flags.metrics_port,
        concurrency=flags.concurrency,
        log_format=flags.log_format,
        log_level=flags.log_level.upper(),
    )
