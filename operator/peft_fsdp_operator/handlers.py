"""The shell: kopf logs in, watches PeftFsdpJobs and handles signals; everything else is ours. Called by `cli`.

The only module that knows kopf. An event does one thing: it marks a job dirty. kopf writes nothing on objects: there
is no handler that would make it add a finalizer or an annotation.
"""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any, cast

import kopf

from peft_fsdp_api import names

from .backoff import Endless
from .cluster import (
    JOBS,
    Cluster,
    Credentials,
    begin_anew,
    count_requests,
    find_credentials,
    keep_sound,
    leave_closed_ones,
    open_session,
    read_shallow,
)
from .engine import Engine
from .errors import ApiError
from .health import Health
from .metrics import Metrics
from .settings import Settings

CRD_INTERVAL = 5.0

log = logging.getLogger(__name__)


async def run_operator(settings: Settings) -> None:
    """Serve health, wait to lead, then work until a signal comes. Raises OperatorError where it cannot go on."""
    signalled = _listen_for_signals()
    credentials, metrics = find_credentials(), Metrics()
    health = Health(metrics.registry, saw_lag=metrics.lag.observe)
    server = await health.serve(settings.metrics_address, settings.metrics_port)
    session = open_session(credentials)
    cluster = Cluster(session, credentials.server, metrics.saw_request)
    try:
        leading = _lead(settings, credentials, cluster, health, metrics)
        await _until_one_ends(health.tick(), leading, _hear_of(signalled))
    finally:
        await session.close()
        await server.cleanup()


async def _lead(
    settings: Settings, credentials: Credentials, cluster: Cluster, health: Health, metrics: Metrics
) -> None:
    engine = Engine(settings, credentials.namespace, cluster, metrics)
    await _wait_for_crd(cluster, settings)
    if not settings.election:
        await _work(settings, credentials, cluster, health, engine)
        return
    await engine.election.acquire()
    try:
        await _until_one_ends(engine.election.keep(), _work(settings, credentials, cluster, health, engine))
    finally:
        await engine.election.release()


async def _work(settings: Settings, credentials: Credentials, cluster: Cluster, health: Health, engine: Engine) -> None:
    """What the leader does. kopf is started last: tasks made after it would be cancelled by it."""
    health.role, health.is_ready, health.watch_age = "leader", engine.is_ready, engine.watch_age
    await _until_one_ends(engine.run(), _watch_jobs(settings, credentials, cluster, engine))


async def _watch_jobs(settings: Settings, credentials: Credentials, cluster: Cluster, engine: Engine) -> None:
    await engine.wait_until_synced()
    engine.hearing.begin()
    await kopf.operator(
        registry=_registry(credentials, cluster, engine),
        settings=_kopf_settings(settings),
        # Left to itself, kopf asks the password file for the user's name, and the image's user has none.
        identity=cast(Any, settings.identity),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )


def _registry(credentials: Credentials, cluster: Cluster, engine: Engine) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        traces = [count_requests(JOBS, cluster.seen)]
        anew = begin_anew(JOBS, engine.headcount.call_for)
        connections = cluster.session.connector
        closed = leave_closed_ones(JOBS, engine.leave)
        sound = keep_sound(JOBS, engine.jobs.knows, engine.hearing.hear)
        wrappers = [closed, anew, sound, read_shallow]
        session = open_session(credentials, shared=connections, traces=traces, middlewares=wrappers)
        return kopf.AiohttpSession(
            server=credentials.server, default_namespace=credentials.namespace, aiohttp_session=session
        )

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def mark_dirty(event: kopf.RawEvent, **_: Any) -> None:
        engine.take(event["type"], event["object"])

    return registry


def _kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """Measured choices: without them kopf keeps every object of the first list in memory for five seconds, waits
    five minutes for an answer, and needs rights on namespaces and CRDs."""
    chosen = kopf.OperatorSettings()
    chosen.queueing.idle_timeout = 0.1
    chosen.watching.chunk_size = 500
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = Endless()  # otherwise an API server that is away for a minute ends the process
    chosen.scanning.disabled = True
    chosen.posting.enabled = False  # our own recorder posts, after the status was written
    chosen.posting.reporting_component = names.FIELD_MANAGER
    chosen.posting.reporting_instance = settings.identity
    chosen.posting.event_name_prefix = f"{names.FIELD_MANAGER}-"
    # Never used, but their defaults carry the name of another project.
    chosen.persistence.finalizer = f"{names.GROUP}/finalizer"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    chosen.persistence.diffbase_storage = _NothingKept(prefix=names.GROUP)
    return chosen


class _NothingKept(kopf.AnnotationsDiffBaseStorage):
    """kopf copies each object to compare it with an earlier one, though there is no handler that would be told: a
    tenth of a millisecond and more for every version of every job."""

    def build(self, **_: Any) -> Any:
        return {}


async def _wait_for_crd(cluster: Cluster, settings: Settings) -> None:
    """kopf with its scanning off would watch nothing for ever where the CRD is not served yet. Any one namespace
    tells: one may be gone, or closed to us."""
    while True:
        for namespace in settings.namespaces or (None,):
            try:
                async for _ in cluster.list(JOBS, namespace):
                    return
            except ApiError as error:
                log.warning("PeftFsdpJobs cannot be listed, trying again: %s", error)
        await asyncio.sleep(CRD_INTERVAL)


def _listen_for_signals() -> asyncio.Event:
    """Set by a signal that comes before kopf runs, which then listens in our place: the first process of a container
    ignores one for which it has no handler, and would be killed half a minute later."""
    heard = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, heard.set)
    return heard


async def _hear_of(signalled: asyncio.Event) -> None:
    await signalled.wait()
    log.info("a signal came; stopping")


async def _until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """Run parts of the operator side by side; when one ends, or fails, all end."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if error := task.exception():
            raise _innermost(error)


def _innermost(error: BaseException) -> BaseException:
    """The first error itself, out of the groups that task groups put around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
