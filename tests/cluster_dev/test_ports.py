"""Ports: those of an instance, and those that tests give out."""

import subprocess
import sys

import pytest

from dev.cluster import ports
from tests.ports import free_port

OF_ANOTHER_PROCESS = """
from dev.cluster import ports
ports.candidate_ports = lambda: {given}
from tests.ports import free_port
print(free_port())
"""
UNCLAIMED = range(19000, 19100)


def test_the_ports_of_an_instance_are_distinct_and_no_node_ports():
    chosen = ports.choose_ports([str(index) for index in range(50)])
    assert len(set(chosen.values())) == 50
    assert all(20000 <= port < 30000 for port in chosen.values())


def test_no_port_is_taken_from_those_of_outgoing_connections(monkeypatch, tmp_path):
    monkeypatch.setattr(ports, "_EPHEMERAL", tmp_path / "range")
    (tmp_path / "range").write_text("20010\t60999\n")
    assert sorted(ports.candidate_ports()) == list(range(20000, 20010))


def test_a_port_is_given_out_once_to_all_processes_of_a_run(monkeypatch):
    claimed = [free_port(), ports.choose_ports(["one"])["one"]]
    given = [*claimed, *UNCLAIMED]
    said = subprocess.run(
        [sys.executable, "-c", OF_ANOTHER_PROCESS.format(given=given)], capture_output=True, text=True, check=True
    ).stdout
    assert int(said) in UNCLAIMED
    monkeypatch.setattr(ports, "_CANDIDATES", claimed)
    for choose in (free_port, lambda: ports.choose_ports(["one"])):
        with pytest.raises(RuntimeError, match="no free TCP port"):
            choose()
