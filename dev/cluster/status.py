"""`status`: every instance with the programs it should run and whether they do."""

from dev.cluster import processes
from dev.cluster.layout import Layout, known_instances
from dev.cluster.record import read_record


def describe_instances() -> str:
    lines = [line for name in known_instances() for line in _describe(Layout(name))]
    return "\n".join(lines) or "nothing runs"


def _describe(layout: Layout) -> list[str]:
    record = read_record(layout)
    if record is None:
        return [f"{layout.name}: half removed; finish with `down --name {layout.name}`"]
    kind = "full cluster" if record.full else "control plane"
    return [f"{layout.name}: {kind}, {record.server}, KUBECONFIG={layout.kubeconfig}", *_program_lines(layout)]


def _program_lines(layout: Layout) -> list[str]:
    lines = []
    for record in sorted(layout.pid_file("any").parent.glob("*.json")):
        pid = processes.running_pid(record)
        lines.append(f"  {record.stem:26} {f'pid {pid}' if pid else 'DEAD'}")
    return lines
