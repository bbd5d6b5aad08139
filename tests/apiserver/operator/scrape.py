"""The operator's /metrics, as Prometheus reads it."""

import aiohttp
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(port: int) -> Samples:
    """All samples, by name and labels."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in await families(port)
        for one in family.samples
    }


async def families(port: int) -> list[Metric]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        text = await response.text()
    return list(text_string_to_metric_families(text))


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))
