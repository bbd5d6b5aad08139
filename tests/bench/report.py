"""Writes docs/measurements.md and the JSON beside it from what a run of the bench measured."""

import json
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
    value: float
    unit: str
    bar: float | None
    comparison: str = ""

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        return "reached" if self.value <= self.bar else "missed"


def print_figures(figures: list[Figure]) -> None:
    """The table on the terminal."""
    for figure in figures:
        bar = "" if figure.bar is None else f"bar {figure.bar:g} {figure.unit}: {figure.verdict}"
        print(f"{figure.name:<72} {figure.value:10.3f} {figure.unit:<6} {bar}")


def write_report(part: str, figures: list[Figure]) -> None:
    """Replace the figures of one part in the JSON file and render the Markdown page from all parts."""
    parts = json.loads(DATA.read_text()) if DATA.exists() else {}
    parts[part] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine_facts(),
        "figures": [asdict(figure) for figure in figures],
    }
    DATA.write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")
    MARKDOWN.write_text(_render(parts))


def _render(parts: dict[str, dict]) -> str:
    lines = [
        "# Measurements",
        "",
        "Written by `make bench`; the numbers are in `measurements.json`. Timings come from a shared machine: trust",
        "ratios and medians, not the second digit.",
    ]
    for name, part in sorted(parts.items()):
        facts = ", ".join(f"{key} {value}" for key, value in part["machine"].items())
        lines += ["", f"## {name}", "", f"{part['date']}; {facts}.", ""]
        lines += ["| figure | measured | bar | | for comparison |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(Figure(**figure)) for figure in part["figures"]]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    bar = "" if figure.bar is None else f"{figure.bar:g} {figure.unit}"
    return f"| {figure.name} | {figure.value:.3g} {figure.unit} | {bar} | {figure.verdict} | {figure.comparison} |"
