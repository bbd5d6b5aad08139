"""Which iptables rules and chains a Kubernetes node leaves behind, and the script that removes exactly these. Pure."""

import re

# kube-proxy's and the kubelet's chains. (Ours are marked by a comment.)
_CHAIN = re.compile(r"^:(KUBE-\S+) ")
_JUMP = re.compile(r"(?:-j|-g) KUBE-")


def removal_script(saved: str, mark: str) -> str:
    """Input for `iptables-restore --noflush` made from the output of `iptables-save`; empty if nothing is there.

    Rules of other owners keep their place: only rules that carry `mark` or jump to a KUBE- chain are deleted.
    """
    return "".join(_table_script(table, mark) for table in re.split(r"^(?=\*)", saved, flags=re.MULTILINE))


def _table_script(table: str, mark: str) -> str:
    lines = table.splitlines()
    chains = [match.group(1) for line in lines if (match := _CHAIN.match(line))]
    rules = [_deletion(line) for line in lines if line.startswith("-A ") and _is_ours(line, mark)]
    commands = [*rules, *(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]
    return "\n".join([lines[0], *commands, "COMMIT", ""]) if commands else ""


def _is_ours(rule: str, mark: str) -> bool:
    """Rules within KUBE- chains need no line of their own: flushing their chain removes them."""
    if rule.startswith("-A KUBE-"):
        return False
    return bool(_JUMP.search(rule)) or f"--comment {mark}" in rule or f'--comment "{mark}"' in rule


def _deletion(rule: str) -> str:
    return rule.replace("-A ", "-D ", 1)
