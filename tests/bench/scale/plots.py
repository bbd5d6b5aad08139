"""The plots of a run: how long jobs waited for their pods, and queue and memory of the operator over time."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.scale.bursts import Burst

FOLDER = Path(__file__).parents[3] / "docs" / "plots"
STYLE = {"svg.hashsalt": "peft-fsdp", "font.size": 9}


def draw(name: str, measured: Burst, bare: float) -> None:
    """Two small files, `scale-NAME-latency.svg` and `scale-NAME-operator.svg`."""
    FOLDER.mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        _latency(measured, bare).savefig(FOLDER / f"scale-{name}-latency.svg", metadata={"Date": None})
        _operator(measured).savefig(FOLDER / f"scale-{name}-operator.svg", metadata={"Date": None})


def _latency(measured: Burst, bare: float) -> Figure:
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    count = len(measured.latencies)
    axes.step(measured.latencies, [100 * (index + 1) / count for index in range(count)], label="operator")
    axes.axvline(bare, linestyle="--", color="grey", label="bare client: last pod of all")
    axes.set(xlabel="seconds from apply to the job's last pod", ylabel="% of jobs", ylim=(0, 100), xlim=(0, None))
    axes.legend()
    return figure


def _operator(measured: Burst) -> Figure:
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    at = [sample.at for sample in measured.samples]
    axes.plot(at, [sample.queue_depth for sample in measured.samples], label="jobs in the queue")
    axes.set(xlabel="seconds", ylabel="jobs that wait for a pass", ylim=(0, None))
    memory = axes.twinx()
    memory.plot(at, [sample.memory_mib for sample in measured.samples], color="tab:orange", label="memory")
    memory.set(ylabel="resident memory, MiB", ylim=(0, None))
    figure.legend(loc="outside upper right", ncols=2)
    return figure
