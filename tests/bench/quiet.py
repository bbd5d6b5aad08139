"""What the operator costs while nothing happens: memory, and writes for a running job."""

import asyncio
import json
from pathlib import Path
from typing import Any

from peft_fsdp_api.names import GROUP, PLURAL, VERSION
from tests.bench.api import Api
from tests.bench.creation import NAMESPACE, job
from tests.bench.operator_process import OperatorProcess

SETTLE_SECONDS = 15
WATCH_SECONDS = 60
PODS = 8


async def measure(api: Api, operator: OperatorProcess, audit_log: Path) -> dict[str, float]:
    """Memory when idle, then a job whose pods all run: the operator's writes in a minute without news."""
    idle = operator.resident_mib()
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
    await api.post(path, job("quiet", PODS))
    await _until_running(api, f"{path}/quiet")
    await asyncio.sleep(SETTLE_SECONDS)
    offset, processor = audit_log.stat().st_size, operator.cpu_seconds()
    await asyncio.sleep(WATCH_SECONDS)
    used = operator.cpu_seconds() - processor
    writes = operator_writes(audit_log, offset)
    await api.delete(f"{path}/quiet")
    return {"idle_mib": idle, "writes_per_minute": float(len(writes)), "cpu_seconds_per_minute": used}


def operator_writes(audit_log: Path, offset: int) -> list[str]:
    """Verb and address of every write of the operator that the audit log holds after `offset`, the Lease aside."""
    found = []
    with audit_log.open("rb") as log:
        log.seek(offset)
        for line in log:
            event: dict[str, Any] = json.loads(line)
            agent = event.get("userAgent", "")
            if event["verb"] in ("create", "update", "patch", "delete", "deletecollection") and "peft-fsdp" in agent:
                found.append(f"{event['verb']} {event['requestURI']}")
    return [write for write in found if "/leases/" not in write]


async def _until_running(api: Api, path: str) -> None:
    for _ in range(300):
        status = (await api.get(path)).get("status", {})
        if status.get("phase") == "Running":
            return
        await asyncio.sleep(0.2)
    raise RuntimeError(f"the job is not Running after a minute: {json.dumps(status)[:500]}")
