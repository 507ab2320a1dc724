"""Runs the API and the worker as processes: `serve` and `worker`, and both in one for `dev`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from importlib.metadata import version
from typing import Any

import structlog
import uvicorn
from msgspec import structs

from segment_copilot.api.http.connections import BoundedHttp
from segment_copilot.app import create_app, create_probes
from segment_copilot.copilot.models.choice import open_model
from segment_copilot.errors import InvalidInput, Unavailable
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.aside import SWITCH_SECONDS
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.migrations import Standing, lacking, migrate, planned, status, tables
from segment_copilot.stores.roles import confine_role
from segment_copilot.telemetry import tracing
from segment_copilot.telemetry.logs import configure_logging, log_uncaught
from segment_copilot.telemetry.metrics import BUILD
from segment_copilot.worker import run_worker

log = structlog.get_logger()

DRAIN_SECONDS = 25
_PORT_HINT = "--port, or HOST and PORT"
_COLLECT_AFTER = (
    10_000,
    20,
    20,
)  # objects, young and middle collections: of a request some hundred live on for its time
_MIGRATED_SECONDS = 1.0  # between two looks whether the stores were migrated


def serve(settings: Settings) -> None:
    """Run the API until SIGTERM or SIGINT; open streams end with a terminal event first."""
    configure_logging(level=settings.log_level, form=settings.log_format)
    log_uncaught()
    asyncio.run(_check(settings))
    check_port(settings)  # uvicorn says a taken port in its log only
    with contextlib.suppress(KeyboardInterrupt), _traced("api", settings):  # uvicorn raises a SIGINT again at the end
        Server(server_config(create_app(settings), host=settings.host, port=settings.port)).run()


def check_port(settings: Settings) -> None:
    """Raise Unavailable where another process listens, or nobody may."""
    with _listener(settings.host, settings.port, hint=_PORT_HINT):
        pass


class Server(uvicorn.Server):
    """Serves; what it holds once it has started stays, and the garbage collector need not look at it again and again.

    Threads that do long work give the interpreter back to the event loop in a millisecond (`stores/aside.py`).
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and put what that made out of the collector's sight: of a small request's CPU that is a fifteenth."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        sys.setswitchinterval(SWITCH_SECONDS)


async def _check(settings: Settings) -> None:
    """Open everything once: a missing setting or a store that is away is then one sentence, not a server's traceback."""
    async with open_resources(settings) as resources, open_model(settings):
        await resources.clickhouse.ping()
        if missing := await lacking(resources.postgres, resources.clickhouse):
            detail = f"The stores are not migrated ({missing[0]} is missing). Run `segment-copilot migrate`."
            raise Unavailable(detail, code="not_migrated")


def work(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    configure_logging(level=settings.log_level, form=settings.log_format)
    log_uncaught()
    with _traced("worker", settings):
        asyncio.run(_work(settings))


@contextlib.contextmanager
def _traced(process: str, settings: Settings) -> Generator[None]:
    """Send spans where OTEL_* says, until the block ends; none where it says nothing."""
    BUILD.info({"version": version("segment-copilot"), "process": process})
    try:
        tracing.configure_tracing(process, content=settings.copilot_trace_content)
    except tracing.Missing as error:
        raise InvalidInput(str(error), code="invalid_settings") from error
    try:
        yield
    finally:
        tracing.stop_tracing()


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_resources(settings) as resources, _answering_probes(resources, settings, stop):
        await _check_clickhouse(resources.clickhouse)
        await _until_migrated(resources, stop=stop)
        await run_worker(resources, stop=stop)


async def _check_clickhouse(clickhouse: ClickHouse) -> None:
    """Raise Unavailable where it refuses our address, which stays wrong; one that is away, or has no tables, may come."""
    try:
        await clickhouse.ping()
    except Unavailable as error:
        if "wrong_url" in error.context:
            raise


async def _until_migrated(resources: Resources, *, stop: asyncio.Event) -> None:
    """Return once the stores have what this version needs, or do not say: then the work itself finds out."""
    told = False
    while not stop.is_set():
        try:
            missing = await lacking(resources.postgres, resources.clickhouse)
        except Exception:  # noqa: BLE001  # the work meets it again, and says it
            return
        if not missing:
            return
        if not told:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            detail = f"The stores lack {missing[0]}{more}: run `segment-copilot migrate`. The worker waits for it."
            log.warning("worker.not_migrated", detail=detail)
            told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MIGRATED_SECONDS):
                await stop.wait()


@contextlib.asynccontextmanager
async def _answering_probes(resources: Resources, settings: Settings, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Say on the worker's own port, until it has stopped, whether it lives and can work."""
    listener = _listener(settings.host, settings.worker_port, hint="WORKER_PORT")
    server = _Server(server_config(create_probes(resources, stop)))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    log.info("worker.probes", port=listener.getsockname()[1])
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Leaves signals alone: uvicorn raises a caught SIGTERM again, which would end `dev` before it has tidied up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none: `running` listens to them."""
        yield


def server_config(app: Any, *, host: str = "", port: int = 0) -> uvicorn.Config:
    """Return the one way in which this project runs uvicorn."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedHttp,
        ws="none",
        log_config=None,  # logs.py speaks for uvicorn too
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def _listener(host: str, port: int, *, hint: str) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        detail = f"Cannot listen on {host}:{port} ({error.strerror}); choose another with {hint}."
        raise Unavailable(detail, code="port_taken") from error
    # asyncio switches Nagle's algorithm off only for listeners that it made itself: 40 ms an answer, measured.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@contextlib.contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Generator[None]:
    """Let the server finish on SIGTERM and SIGINT; the process then ends by returning."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[tuple[str, asyncio.Task[None]]]:
    """Run API and worker in this process; yield the URL, and a task that ends when the server was told to stop."""
    server = _Server(server_config(create_app(settings)))
    listener = _listener(settings.host, settings.port, hint=_PORT_HINT)
    host, port = listener.getsockname()[:2]
    stop = asyncio.Event()
    async with open_resources(settings) as resources, asyncio.TaskGroup() as group:
        group.create_task(run_worker(resources, stop=stop))
        serving = group.create_task(server.serve(sockets=[listener]))
        try:
            with _stopped_by_signals(server):
                yield f"http://{host}:{port}", serving
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
            stop.set()


@contextlib.asynccontextmanager
async def catching(app: Any, *, port: int = 0) -> AsyncGenerator[str]:
    """Serve an application of ASGI on a loopback port beside all else, on another if it is taken; yield the URL."""
    try:
        listener = _listener("127.0.0.1", port, hint="another port")
    except Unavailable:
        listener = _listener("127.0.0.1", 0, hint="another port")
    server = _Server(server_config(app))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait([serving])


async def migrate_stores(settings: Settings) -> list[str]:
    """Migrate both stores, as the owner; confine the role that is named; return the names of the migrations that were applied."""
    async with open_resources(_as_owner(settings)) as resources:
        applied = await migrate(resources.postgres, resources.clickhouse, cluster=settings.on_cluster)
        if settings.postgres_role:
            await confine_role(resources.postgres, settings.postgres_role, tables=tables("postgres"))
        return applied


def _as_owner(settings: Settings) -> Settings:
    return structs.replace(settings, database_url=settings.migration_database_url or settings.database_url)


async def migrations_of(settings: Settings) -> list[Standing]:
    """Return where every migration stands; ClickHouse is not asked."""
    async with open_resources(_as_owner(settings)) as resources:
        return await status(resources.postgres)


async def planned_migrations(settings: Settings) -> dict[str, list[str]]:
    """Return the statements that `migrate` would run, by migration; nothing is written."""
    async with open_resources(_as_owner(settings)) as resources:
        return await planned(resources.postgres, cluster=settings.on_cluster)
