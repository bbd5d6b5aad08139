"""What `conftest` says of groups and of files that a run reads, from real runs of pytest that only collect."""

import subprocess
import sys

import pytest

from tests.conftest import GROUPS, HERE, ByGroup


def split(nodeid):
    return ByGroup._split_scope(object.__new__(ByGroup), nodeid)


def collected(*arguments):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n0", "-p", "no:cacheprovider", *arguments]
    output = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True).stdout
    return {line.partition(": ")[0] for line in output.splitlines() if ": " in line}


def test_every_group_is_of_files_that_are_there():
    files = [path.relative_to(HERE).as_posix() for path in HERE.rglob("test_*.py")]
    assert [beginning for beginning in GROUPS if not any(file.startswith(beginning) for file in files)] == []


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("apiserver/operator/test_gang.py::a", "apiserver/operator/test_rights.py::b", True),
        ("apiserver/operator/test_gang.py::a", "apiserver/operator/test_soak.py::b", False),
        ("apiserver/test_contract.py::a[x::y]", "apiserver/test_examples.py::b", True),
        ("trainer/core/test_loss.py::a", "trainer/core/test_loss.py::b", True),
        ("trainer/core/test_loss.py::a", "trainer/core/test_modes.py::a", False),
        ("cluster/test_faults.py::a", "cluster/test_faults.py::b", False),
    ],
)
def test_who_stays_together(one, other, together):
    assert (split(f"tests/{one}") == split(f"tests/{other}")) == together


@pytest.mark.slow
def test_a_run_of_one_mark_reads_the_files_with_it_and_no_other():
    with_mark = {
        path.relative_to(HERE.parent).as_posix()
        for path in HERE.rglob("test_*.py")
        if "pytest.mark.apiserver" in path.read_text() and path.name != "test_side_by_side.py"
    }
    assert collected("-m", "apiserver") == with_mark
