"""The generated files in the order in which they depend on each other: the manifest is rendered from the values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev.chart.dashboard import dashboard
from dev.chart.helm import CHART, REPOSITORY
from dev.chart.install_manifest import install_manifest
from dev.chart.metrics_page import metrics_page
from dev.chart.values_file import values_file
from dev.chart.values_schema import values_schema


@dataclass(frozen=True)
class GeneratedFile:
    """A committed file and what makes its text."""

    path: Path
    make: Callable[[], str]


def generated_files() -> list[GeneratedFile]:
    return [
        GeneratedFile(CHART / "values.yaml", values_file),
        GeneratedFile(CHART / "values.schema.json", values_schema),
        GeneratedFile(CHART / "dashboards" / "peft-fsdp.json", dashboard),
        GeneratedFile(REPOSITORY / "docs" / "metrics.md", metrics_page),
        GeneratedFile(REPOSITORY / "manifests" / "install.yaml", install_manifest),
    ]
