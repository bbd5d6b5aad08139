"""A control plane of its own for the tests with faults: its audit log holds bodies, and it is stopped on the way."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from dev.cluster.instance import Cluster
from tests.faults.planes import NAME, faults_plane
from tests.faults.site import Plane, Site, open_plane, open_sites


@pytest.fixture(scope="session")
def instance(worker_id: str) -> Iterator[Cluster]:
    with faults_plane(f"{NAME}-{worker_id}") as instance:
        yield instance


@pytest_asyncio.fixture
async def plane(instance: Cluster, tmp_path) -> AsyncIterator[Plane]:
    async with open_plane(instance, tmp_path) as plane:
        yield plane


@pytest_asyncio.fixture
async def site(plane: Plane) -> AsyncIterator[Site]:
    async with open_sites(plane, 1) as (site,):
        yield site
