from collections.abc import Callable
from typing import Any

import pytest
import yaml

from dev.chart.helm import template
from dev.cluster.build import build

IMAGES = ["--set", "image.reference=registry.example.com/operator:1,trainerImage=registry.example.com/trainer:1"]


class Rendered(list[dict[str, Any]]):
    """The objects of a rendered chart."""

    def kinds(self) -> set[str]:
        return {manifest["kind"] for manifest in self}

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [manifest for manifest in self if manifest["kind"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        (manifest,) = self.of(kind)
        return manifest

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.one("Deployment")["spec"]["template"]["spec"]["containers"]
        return container


@pytest.fixture(scope="session")
def render() -> Callable[..., Rendered]:
    """`render("replicas=2")`: the chart with these values. Helm is built where it is not there yet."""
    build(("helm",))

    def render_with(*values: str) -> Rendered:
        settings = [argument for value in values for argument in ("--set", value)]
        return Rendered(filter(None, yaml.safe_load_all(template(*IMAGES, *settings))))

    return render_with
