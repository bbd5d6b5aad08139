"""Writes docs/measurements.md and the JSON beside it from what a run of the bench measured."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.machine import machine_facts

ROOT = Path(__file__).parents[2]
MARKDOWN = ROOT / "docs" / "measurements.md"
DATA = ROOT / "docs" / "measurements.json"


@dataclass(frozen=True)
class Figure:
    """One measured number beside its bar and what peers reach."""

    name: str
    value: float | None
    """None: not measured."""
    unit: str
    bar: float | None
    comparison: str = ""
    at_least: bool = False
    """The bar is the smallest value that is good enough, not the largest."""

    @property
    def verdict(self) -> str:
        if self.bar is None or self.value is None:
            return ""
        good = self.value >= self.bar if self.at_least else self.value <= self.bar
        return "reached" if good else "missed"

    @property
    def measured(self) -> str:
        """The value with its unit."""
        return "not measured" if self.value is None else f"{self.value:.3g} {self.unit}"


def print_figures(figures: list[Figure]) -> None:
    """The table on the terminal."""
    for figure in figures:
        bar = "" if figure.bar is None else f"bar {figure.bar:g} {figure.unit}: {figure.verdict}"
        print(f"{figure.name:<72} {figure.measured:>18} {bar}")


def has_part(part: str) -> bool:
    """Whether the document has figures of this part."""
    return DATA.exists() and part in json.loads(DATA.read_text())


def write_report(part: str, figures: list[Figure], facts: Mapping[str, str] | None = None) -> None:
    """Replace the figures of one part in the JSON file and render the Markdown page from all parts.

    `facts` are what else is to be known about the machine.
    """
    parts = json.loads(DATA.read_text()) if DATA.exists() else {}
    parts[part] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine_facts() | dict(facts or {}),
        "figures": [asdict(figure) for figure in figures],
    }
    DATA.write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")
    MARKDOWN.write_text(_render(parts))


def _render(parts: dict[str, dict]) -> str:
    lines = [
        "# Measurements",
        "",
        "Written by `make bench` and `make gpu-check`; the numbers are in `measurements.json`. Timings come from a",
        "shared machine: trust ratios and medians, not the second digit.",
    ]
    for name, part in sorted(parts.items()):
        facts = ", ".join(f"{key} {value}" for key, value in part["machine"].items())
        lines += ["", f"## {name}", "", f"{part['date']}; {facts}.", ""]
        lines += ["| figure | measured | bar | | for comparison |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(Figure(**figure)) for figure in part["figures"]]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    bar = "" if figure.bar is None else f"{'at least ' if figure.at_least else ''}{figure.bar:g} {figure.unit}"
    return f"| {figure.name} | {figure.measured} | {bar} | {figure.verdict} | {figure.comparison} |"
