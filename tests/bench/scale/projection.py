"""What the measured costs mean for fleets that no test machine holds: the table of docs/scale.md.

`python -m tests.bench.scale.projection` prints it, and a run of the bench's part `scale` writes it into the document.
Plain arithmetic on measured figures; what is assumed stands in `Fleet`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from peft_fsdp_operator.progress import ALL_WORKERS_PER_SECOND, INTERVAL
from peft_fsdp_operator.status_writes import FIGURES_PER_SECOND, PROGRESS_INTERVAL
from tests.bench.report import DATA

DOCUMENT = Path(__file__).parents[3] / "docs" / "scale.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
EVENTS_PER_POD = 6
"""Watch events of one pod from its creation to its end: created, bound, running, told to stop, ended, gone."""
EVENT_KB = 6.0
LAUNCHER_SERIES = 60
SCRAPE_SECONDS = 30


@dataclass(frozen=True)
class Costs:
    """What the bench measured, on two cores that the whole control plane shares."""

    cpu_ms_per_job: float
    """Of the operator, for a job of eight pods from apply to Running."""
    memory_mib: float
    """With so many jobs of eight pods: `memory_jobs`."""
    memory_jobs: int
    idle_mib: float
    pods_per_second: float
    """That the API server took from the operator in the largest burst."""


@dataclass(frozen=True)
class Fleet:
    """One way to fill a cluster."""

    name: str
    jobs: int
    pods_per_job: int
    hours_per_job: float

    @property
    def pods(self) -> int:
        return self.jobs * self.pods_per_job


FLEETS = (
    Fleet("10,000 GPUs, 156 jobs x 8 pods x 8 GPUs, 6 h each", 156, 8, 6),
    Fleet("10,000 GPUs, 1,250 jobs x 1 pod x 8 GPUs, 1 h each", 1250, 1, 1),
    Fleet("10,000 GPUs, 10,000 jobs x 1 pod x 1 GPU, 1 h each", 10_000, 1, 1),
    Fleet("1,000 GPUs in one job: 125 pods x 8 GPUs", 1, 125, 24),
    Fleet("1,000 GPUs in one job: 1,000 pods x 1 GPU", 1, 1000, 24),
)


def read_costs(data: Path = DATA) -> Costs:
    """From the newest run of the bench. Raises KeyError where a part is missing."""
    parts = json.loads(data.read_text())
    scale = {figure["name"]: figure["value"] for figure in parts["scale, many"]["figures"]}
    idle = {figure["name"]: figure["value"] for figure in parts["operator"]["figures"]}
    memory = next(name for name in scale if name.startswith("operator memory,"))
    last_pod = next(name for name in scale if name.endswith("until the last pod exists") and "1000 jobs" in name)
    return Costs(
        cpu_ms_per_job=scale["operator CPU per job from apply to Running"],
        memory_mib=scale[memory],
        memory_jobs=int(memory.split(", ")[1].split()[0]),
        idle_mib=idle["operator memory, idle"],
        pods_per_second=8000 / scale[last_pod],
    )


def table(costs: Costs) -> str:
    """Markdown, one row per fleet."""
    head = (
        "| fleet | status writes/s | launcher GETs/s | progress is old at most | watch traffic | launchers' series/s "
        "| operator memory | operator CPU, starts | all pods anew |"
    )
    return "\n".join([head, "|" + " --- |" * (head.count("|") - 1), *(_row(fleet, costs) for fleet in FLEETS)])


def write_table() -> None:
    """Put the table of the newest figures into the document."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table(read_costs())}\n{END}{after}")


def _row(fleet: Fleet, costs: Costs) -> str:
    writes = min(fleet.jobs / PROGRESS_INTERVAL, FIGURES_PER_SECOND)
    looks = min(fleet.pods / INTERVAL, ALL_WORKERS_PER_SECOND, 8.0 * fleet.jobs)
    age = max(fleet.jobs / writes, fleet.pods / looks)
    starts = fleet.jobs / (3600 * fleet.hours_per_job)
    traffic = starts * fleet.pods_per_job * EVENTS_PER_POD * EVENT_KB
    per_pod = (costs.memory_mib - costs.idle_mib) / (8 * costs.memory_jobs)
    cells = [
        fleet.name,
        f"{writes:.1f}",
        f"{looks:.0f}",
        f"{age:.0f} s",
        f"{traffic:.1f} kB/s",
        f"{fleet.pods * LAUNCHER_SERIES / SCRAPE_SECONDS:.0f}",
        f"{costs.idle_mib + per_pod * fleet.pods:.0f} MiB",
        f"{starts * costs.cpu_ms_per_job * max(1.0, fleet.pods_per_job / 8) / 10:.2f} %",
        f"{fleet.pods / costs.pods_per_second:.0f} s",
    ]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(table(read_costs()))
