"""`python -m tests.bench [PART…]`: measure, print, and write docs/measurements.md."""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from dev.cluster.instance import Cluster, add_fake_nodes, control_plane
from tests.bench import commands, creation, failures, kills, loader, overhead, parity, quiet
from tests.bench.api import connect
from tests.bench.operator_process import running_operator
from tests.bench.report import Figure, print_figures, write_report
from tests.bench.scale import measure as scale
from tests.bench.scale import projection
from tests.bench.scale.soak import soak
from tests.bench.scale.world import apply_crd

INSTANCE = "bench"
PARTS = ["operator", "failures", "trainer", "loader", "overhead", "kills", "scale"]
ON_DEMAND = ["commands", "soak"]
"""Parts that run only when they are named: they take half an hour and more."""
BARS = {8: (0.06, 4.5, "bare client 0.013 s, JobSet 0.145 s"), 64: (0.25, 2.0, "bare client 0.128 s, JobSet 0.82 s")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=PARTS + ON_DEMAND, help=f"default: all but {', '.join(ON_DEMAND)}")
    parser.add_argument("--figure", action="append", choices=list(scale.FIGURES), help="of scale; all by default")
    parser.add_argument("--jobs", type=int, default=scale.MANY, help="of scale: how many are many")
    parser.add_argument("--minutes", type=float, default=30, help="of soak")
    options = parser.parse_args()
    # Or a bench that is stopped leaves its control plane and its operator behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parts = options.part or PARTS
    plain: dict[str, Callable[[], list[Figure]]] = {
        "operator": measure_operator,
        "failures": failures.measure,
        "trainer": parity.measure,
        "loader": loader.measure,
        "overhead": overhead.measure,
        "kills": kills.measure,
        "commands": commands.measure,
    }
    for part, measure in plain.items():
        if part in parts:
            _publish(part, measure())
    if "scale" in parts:
        _measure_scale(options.figure or [], options.jobs)
    if "soak" in parts:
        _publish("soak", soak(options.minutes))


def measure_operator() -> list[Figure]:
    """Creation latency, idle memory and writes, on a control plane of its own with KWOK nodes."""
    with control_plane(INSTANCE) as cluster, tempfile.TemporaryDirectory() as folder:
        add_fake_nodes(INSTANCE, 80, gpus=8)
        apply_crd(cluster)
        return asyncio.run(_measure_operator(cluster, Path(folder)))


async def _measure_operator(cluster: Cluster, folder: Path) -> list[Figure]:
    figures = []
    async with connect(cluster.kubeconfig) as api:
        await creation.prepare(api)
        with running_operator(cluster.kubeconfig, folder) as operator:
            cost = await quiet.measure(api, operator, cluster.audit_log)
            for pods in BARS:
                figures += _creation_figures(pods, await creation.measure(api, pods))
            for pods in BARS:
                medians = await creation.measure(api, pods, scheduled=False)
                name = f"the same {pods} pods while no node takes them"
                figures.append(Figure(f"{name}: operator", medians["operator_s"], "s", None))
                figures.append(Figure(f"{name}: bare client", medians["bare_client_s"], "s", None))
    figures += [
        Figure("operator memory, idle", cost["idle_mib"], "MiB", 120),
        Figure("writes per running job and minute without news", cost["writes_per_minute"], "", 0),
        Figure("operator CPU per minute, one running job", cost["cpu_seconds_per_minute"], "s", None),
    ]
    return figures


def _creation_figures(pods: int, medians: dict[str, float]) -> list[Figure]:
    bar, ratio_bar, peers = BARS[pods]
    name = f"apply -> Service, ConfigMap and {pods} pods exist, median of {creation.REPEATS}"
    return [
        Figure(name, medians["operator_s"], "s", bar, peers),
        Figure(f"bare client, the same {pods} pods", medians["bare_client_s"], "s", None),
        Figure(f"ratio to the bare client, {pods} pods", medians["ratio"], "x", ratio_bar),
    ]


def _measure_scale(names: list[str], jobs: int) -> None:
    """Each group of figures is written as it comes; the document holds those of the usual number of jobs."""
    for name, figures in scale.measure(names, jobs):
        _publish(f"scale, {name}", figures, to_document=jobs == scale.MANY)
        if name == "many" and jobs == scale.MANY:
            projection.write_table()


def _publish(part: str, figures: list[Figure], to_document: bool = True) -> None:
    print_figures(figures)
    if to_document:
        write_report(part, figures)


if __name__ == "__main__":
    main()
