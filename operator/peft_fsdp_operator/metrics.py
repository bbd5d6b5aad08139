"""What the operator tells Prometheus: every metric of the process is declared here or in `job_metrics`.

Filled by `cluster`, `engine`, `health` and `reconcile`, served by `health`. No label holds a name that users choose, so
the number of series does not grow with the jobs. docs/metrics.md is generated from these declarations.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from peft_fsdp_api import __version__

from .cluster import Request
from .job_metrics import JobMetrics

PREFIX: Final = "peft_fsdp_operator"
RESULTS: Final = ("done", "retry", "refused", "error")
SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LAGS: Final = (0.01, 0.1, 1.0, 10.0)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._declare_process()
        self._declare_work()
        self.jobs = JobMetrics(self.registry)

    def _declare_process(self) -> None:
        version = self._gauge("build_info", "1; the label is the operator's version.", "version")
        version.labels(__version__).set(1)
        self.leader = self._gauge("leader", "1 in the replica that works, 0 in those that stand by.")
        self.leader.set(0)
        self.lag = self._histogram("event_loop_lag_seconds", "How late the event loop came round, once a second.", LAGS)
        self.watch_age = self._gauge(
            "watch_age_seconds", "Time since the API server last said anything on the watch of a kind.", "kind"
        )
        self.mirrored = self._gauge(
            "mirrored_objects",
            "Children of jobs and nodes that are kept in memory, by kind. Of jobs that are there: departed_pods failed "
            "and are gone, rendered_jobs are those with a Service and a ConfigMap.",
            "kind",
        )

    def _declare_work(self) -> None:
        self.queue_depth = self._gauge("queue_depth", "Jobs that wait for a pass.")
        self.queue_oldest = self._gauge("queue_oldest_seconds", "How long the first of them has been waiting.")
        self.tasks = self._gauge("tasks", "Tasks of the event loop.")
        self.passes = self._histogram(
            "pass_duration_seconds",
            "Passes over a job: done, retry (the API server was busy or unreachable), refused by it, or error (a bug).",
            SECONDS,
            "result",
        )
        for result in RESULTS:
            self.passes.labels(result)
        self.requests = self._histogram(
            "api_request_duration_seconds",
            "Requests to the API server; code 0 is no answer. Of a watch, the time to its first byte.",
            SECONDS,
            "verb",
            "resource",
            "code",
        )
        self.events_left_out = Counter(
            f"{PREFIX}_events_left_out", "Kubernetes Events that could not be posted.", registry=self.registry
        )

    def saw_request(self, request: Request) -> None:
        """Count one request."""
        self.requests.labels(request.verb, request.resource, str(request.code)).observe(request.seconds)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)
