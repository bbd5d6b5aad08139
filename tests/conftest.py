"""Which files a run reads, and, with `-n N --dist loadgroup`, which tests run side by side.

A group stays in one process, and groups begin in the order below. A file is a group, so that what its fixtures make is
made once; where many files use one control plane, the folder is one. Tests with real pods have a namespace each, and go
one by one to whoever is free; those that need a second node take turns with it.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# The same examples in every run, and no bound on the seconds that a busy machine takes for them.
settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

HERE = Path(__file__).parent
GROUPS = {
    "apiserver/operator/test_soak.py": "soak",
    # Its last tests look at everything that was asked of its control plane.
    "apiserver/operator/": "operator",
    "faults/test_write_points.py": "write points",
    "faults/test_outage.py": "outage",
    "faults/": "faults",
    "apiserver/test_chart": "chart",
    "apiserver/test_demo": "chart",
    "apiserver/": "contract",
    "cluster/test_nodes.py": "second node",
    "cluster/": "",
    "trainer/launcher/test_run_command.py": "run",
    "trainer/core/test_interruptions.py": "interruptions",
    "trainer/core/test_fsdp1.py": "fsdp1",
    "trainer/core/test_modes.py": "modes",
    "trainer/core/test_hub.py": "push",
    "trainer/data/test_hub_stream.py": "stream",
    "gpu_check/": "gpu-check",
}
"""By the beginning of the path, what takes long first; the first that fits counts."""


class ByGroup(LoadScopeScheduling):
    """xdist's own marks for groups do nothing with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0].removeprefix(f"{HERE.name}/")
        group = next((group for beginning, group in GROUPS.items() if path.startswith(beginning)), path)
        return group or nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByGroup | None:
    return ByGroup(config, log) if config.option.dist == "loadgroup" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m apiserver` needs no file without that mark: to import them all takes ten seconds, mostly for torch."""
    mark = config.option.markexpr.partition(" and ")[0]
    if " or " in config.option.markexpr or not mark.isidentifier():
        return None
    files = collection_path.rglob("test_*.py") if collection_path.is_dir() else [collection_path]
    return not any(f"mark.{mark}" in file.read_text() for file in files) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    path = item.path.relative_to(HERE).as_posix()
    return next((place for place, beginning in enumerate(GROUPS) if path.startswith(beginning)), len(GROUPS))
