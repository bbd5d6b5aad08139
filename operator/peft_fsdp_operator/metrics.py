"""What the operator tells Prometheus about itself.

Filled by `cluster`, `engine` and `reconcile`, served by `health`.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .cluster import Request

PREFIX = "peft_fsdp_operator"
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Histogram(
            f"{PREFIX}_pass_duration_seconds",
            "Duration of a pass.",
            ["result"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self.requests = Histogram(
            f"{PREFIX}_api_request_duration_seconds",
            "Requests to the API server; code 0 is no answer.",
            ["verb", "resource", "code"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self.restarts = Counter(
            "peft_fsdp_job_restarts", "New attempts by the reason of the last end.", ["reason"], registry=self.registry
        )

    def saw_request(self, request: Request) -> None:
        """Count one request."""
        self.requests.labels(request.verb, request.resource, str(request.code)).observe(request.seconds)

    def watch_over(self, name: str, text: str, read: Callable[[], dict[str, float]], label: str = "") -> None:
        """A gauge that is read when Prometheus asks. With a label, one value per key of what `read` gives."""
        self.registry.register(_Read(name, text, read, label))


class _Read(Collector):
    def __init__(self, name: str, text: str, read: Callable[[], dict[str, float]], label: str) -> None:
        self._name, self._text, self._read, self._label = name, text, read, label

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label] if self._label else [])
        for key, value in self._read().items():
            family.add_metric([key] if self._label else [], value)
        yield family
