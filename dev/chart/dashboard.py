"""The Grafana dashboard: which figures stand where, and the JSON that Grafana wants of it."""

import json
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 24
HEIGHT: Final = 7
COLUMNS: Final = 3
RANGE: Final = "$__rate_interval"


@dataclass(frozen=True)
class Panel:
    """One graph. `lines` are pairs of a query and the name of its series."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    text: str = ""
    stacked: bool = False


def quantiles(metric: str, by: str, shown: str) -> tuple[tuple[str, str], ...]:
    """Median and 99th percentile of a histogram."""
    buckets = f"sum by ({', '.join(filter(None, ('le', by)))}) (rate({metric}_bucket[{RANGE}]))"
    return tuple((f"histogram_quantile({q}, {buckets})", f"{shown} p{int(q * 100)}".strip()) for q in (0.5, 0.99))


def rate(metric: str, by: str, window: str = RANGE) -> str:
    return f"sum by ({by}) (rate({metric}[{window}]))"


def by_job(metric: str) -> tuple[tuple[str, str], ...]:
    """One line per job; the label is what the PodMonitor makes of the pods' label."""
    return ((f"max by (namespace, training_peft_fsdp_io_job) ({metric})", "{{training_peft_fsdp_io_job}}"),)


REQUESTS: Final = "peft_fsdp_operator_api_request_duration_seconds"
PASSES: Final = "peft_fsdp_operator_pass_duration_seconds"

# Of all processes that Prometheus knows, the operator's.
OURS: Final = "and on (namespace, pod) peft_fsdp_operator_leader"

ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Jobs": (
        Panel("Jobs by phase", "short", (("sum by (phase) (peft_fsdp_jobs)", "{{phase}}"),), stacked=True),
        Panel(
            "Waiting, by the cluster's reason", "short", (("sum by (reason) (peft_fsdp_jobs_waiting)", "{{reason}}"),)
        ),
        Panel(
            "Need somebody to act",
            "short",
            (
                ("sum by (reason) (peft_fsdp_jobs_stalled)", "{{reason}}"),
                ("sum(peft_fsdp_jobs_invalid)", "breaks the contract"),
            ),
        ),
        Panel(
            "GPUs at work",
            "short",
            (("sum(peft_fsdp_jobs_gpus)", "GPUs"),),
            "GPUs of attempts whose pods all run.",
        ),
        Panel("GPU time of the jobs there are", "s", (("sum(peft_fsdp_jobs_gpu_seconds)", "seconds x GPUs"),)),
        Panel("Slowest start", "s", (("max(peft_fsdp_jobs_longest_start_seconds)", "since the attempt began"),)),
    ),
    "Failures and restarts": (
        Panel(
            "Restarts per hour, by cause",
            "short",
            (("sum by (reason) (increase(peft_fsdp_job_restarts_total[1h])) > 0", "{{reason}}"),),
        ),
        Panel(
            "Failed jobs per hour, by cause",
            "short",
            (("sum by (reason) (increase(peft_fsdp_job_failures_total[1h])) > 0", "{{reason}}"),),
        ),
        Panel("Stalls per hour", "short", (("sum(increase(peft_fsdp_job_stalls_total[1h]))", "gangs"),)),
        Panel("Container's end until it is in status", "s", quantiles("peft_fsdp_job_detection_seconds", "", "")),
        Panel("Failure until the next gang", "s", quantiles("peft_fsdp_job_restart_seconds", "until", "{{until}}")),
    ),
    "Operator": (
        Panel("Leader", "short", (("sum by (pod) (peft_fsdp_operator_leader)", "{{pod}}"),), stacked=True),
        Panel("Jobs that wait for a pass", "short", (("sum(peft_fsdp_operator_queue_depth)", "jobs"),)),
        Panel("The first of them waits for", "s", (("max(peft_fsdp_operator_queue_oldest_seconds)", "seconds"),)),
        Panel(
            "Passes per second, by result", "ops", ((rate(f"{PASSES}_count", "result"), "{{result}}"),), stacked=True
        ),
        Panel("Duration of a pass", "s", quantiles(PASSES, "", "")),
        Panel("Silence of the watches", "s", (("max by (kind) (peft_fsdp_operator_watch_age_seconds)", "{{kind}}"),)),
        Panel("Event loop late by", "s", quantiles("peft_fsdp_operator_event_loop_lag_seconds", "", "")),
        Panel("Objects in memory", "short", (("sum by (kind) (peft_fsdp_operator_mirrored_objects)", "{{kind}}"),)),
        Panel("Tasks of the event loop", "short", (("max by (pod) (peft_fsdp_operator_tasks)", "{{pod}}"),)),
        Panel("Memory", "bytes", ((f"process_resident_memory_bytes {OURS}", "{{pod}}"),)),
        Panel("Processors", "short", ((f"rate(process_cpu_seconds_total[{RANGE}]) {OURS}", "{{pod}}"),)),
        Panel("Version", "short", (("sum by (version) (peft_fsdp_operator_build_info)", "{{version}}"),)),
    ),
    "API server": (
        Panel(
            "Requests per second", "reqps", ((rate(f"{REQUESTS}_count", "verb, resource"), "{{verb}} {{resource}}"),)
        ),
        Panel(
            "Requests that fail, per second",
            "reqps",
            ((rate(f'{REQUESTS}_count{{code!~"2.."}}', "verb, resource, code"), "{{verb}} {{resource}} {{code}}"),),
            "404 and 409 belong to the work: who is first, and whether something is gone.",
        ),
        Panel("Duration", "s", quantiles(REQUESTS, "verb", "{{verb}}")),
        Panel(
            "Events left out per hour",
            "short",
            (("sum(increase(peft_fsdp_operator_events_left_out_total[1h]))", "events"),),
        ),
    ),
    "Training (needs metrics.podMonitor)": (
        Panel("Loss", "short", by_job("peft_fsdp_trainer_loss")),
        Panel("Tokens per second", "short", by_job("peft_fsdp_trainer_tokens_per_second")),
        Panel("Oldest heartbeat", "s", by_job("peft_fsdp_trainer_heartbeat_age_seconds")),
    ),
}


def dashboard() -> str:
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        head = {"type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}}
        panels.append({"id": len(panels) + 1, **head, "collapsed": False, "panels": []})
        top += 1
        for number, panel in enumerate(row):
            place = _place(number, top)
            panels.append({"id": len(panels) + 1, **_graph(panel), "gridPos": place})
        top += HEIGHT * -(-len(row) // COLUMNS)
    whole = {
        "uid": "peft-fsdp",
        "title": "PEFT FSDP jobs",
        "tags": ["peft-fsdp"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_data_source()]},
        "panels": panels,
    }
    return json.dumps(whole, indent=1) + "\n"


def _place(number: int, top: int) -> dict[str, int]:
    width = WIDTH // COLUMNS
    return {"x": number % COLUMNS * width, "y": top + number // COLUMNS * HEIGHT, "w": width, "h": HEIGHT}


def _graph(panel: Panel) -> dict[str, Any]:
    stacking = {"mode": "normal" if panel.stacked else "none"}
    custom = {"fillOpacity": 25 if panel.stacked else 8, "stacking": stacking, "showPoints": "never"}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": name}
            for number, (query, name) in enumerate(panel.lines)
        ],
    }


def _data_source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}
