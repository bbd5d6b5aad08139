"""Which tests may run side by side: with `--dist loadgroup` a group stays in one process; groups begin in this order.

A file is a group, so that what its fixtures make is made once. Where many files use one control plane, the folder is
one; and what takes long begins early.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
GROUPS = {
    "trainer/launcher/test_run_command.py": "run command",
    "trainer/core/test_interruptions.py": "interruptions",
    "faults/test_outage.py": "outage",
    "apiserver/operator/test_soak.py": "soak",
    "faults/test_write_points.py": "write points",
    # Its last tests look at everything that was asked of its control plane.
    "apiserver/operator/": "operator",
    "faults/": "faults",
    "specs/": "contract",
    "apiserver/test_chart": "chart",
    "apiserver/": "contract",
}
"""By the beginning of the path; the first that fits counts."""
GROUP = "xdist_group"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.get_closest_marker(GROUP):
            item.add_marker(pytest.mark.xdist_group(_group(_path(item))))
    items.sort(key=lambda item: _place(_path(item)))


def _path(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).as_posix()


def _group(path: str) -> str:
    return next((group for beginning, group in GROUPS.items() if path.startswith(beginning)), path)


def _place(path: str) -> int:
    return next((place for place, beginning in enumerate(GROUPS) if path.startswith(beginning)), len(GROUPS))
