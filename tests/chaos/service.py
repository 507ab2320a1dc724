"""The service as it runs for real: both engines, the API and a worker, each a process that can be killed or frozen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import httpx2
import psutil
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.embedded import Engine, Engines
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import read_settings
from tests.chaos.observed import TASKS
from tests.support.proxies import Proxy, eventually, run_proxy

Role = Literal["serve", "worker"]
_PORTS: dict[Role, str] = {"serve": "PORT", "worker": "WORKER_PORT"}
_START_SECONDS = 300  # on a busy machine


class Spawned(Protocol):
    """A process that was started, as subprocess.Popen has it."""

    @property
    def pid(self) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def wait(self) -> int: ...
    def poll(self) -> int | None: ...


class Process:
    """One process of ours. Its port and its log stay the same however often it is started."""

    def __init__(self, role: Role, *, log: Path) -> None:
        self.role: Role = role
        self.log = log
        self.tasks = log.with_suffix(".tasks")
        """Where it writes down its tasks on SIGUSR1 (`observed`)."""
        self.port = free_port()
        self._process: Spawned | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, database_url: str, clickhouse_url: str, settings: Mapping[str, str] = {}) -> None:
        """Return at once; `Service.until_ready` waits."""
        environment = os.environ | {
            "DATABASE_URL": database_url,
            "CLICKHOUSE_URL": clickhouse_url,
            "LOG_LEVEL": "info",
            _PORTS[self.role]: str(self.port),
            TASKS: str(self.tasks),
            **settings,
        }
        command = [sys.executable, "-m", "tests.chaos.observed", self.role]
        self._process = self._spawn(command, environment)

    def _spawn(self, command: list[str], environment: dict[str, str]) -> Spawned:
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True when it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    async def end(self, number: signal.Signals) -> int:
        """Send it a signal that ends it, and return its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = await asyncio.to_thread(self._process.wait)
        self._process = None
        return code

    def size(self) -> int:
        """The bytes of its log so far."""
        return self.log.stat().st_size if self.log.exists() else 0

    def errors(self, *, since: int = 0) -> list[str]:
        """The lines of its log, from byte *since*, that say something went wrong that nobody foresaw."""
        lines = self.log.read_bytes()[since:].splitlines() if self.log.exists() else []
        return [line.decode(errors="replace") for line in lines if b'"level":"error"' in line or b"Traceback" in line]


class Stores(Struct, frozen=True):
    """The URLs by which the processes reach the stores."""

    database_url: str
    clickhouse_url: str


class Service:
    """Engines, API and worker, with a tenant and its key; what faults are planted in."""

    def __init__(
        self, engines: Engines, directory: Path, resources: Resources, *, stores: Stores, settings: Mapping[str, str]
    ) -> None:
        self.engines = engines
        self.resources = resources
        self.directory = directory
        self.stores = stores
        self.settings = settings
        self.proxies: tuple[Proxy, ...] = ()  # PostgreSQL's and ClickHouse's, while there are any
        self.behind: Mapping[str, Proxy] = {}  # the proxy before each of what the service speaks to (`sharded`)
        self.api = Process("serve", log=directory / "api.log")
        self.worker = Process("worker", log=directory / "worker.log")
        self.tenant: Tenant
        self.key: str

    @property
    def postgres(self) -> Engine:
        assert self.engines.postgres is not None
        return self.engines.postgres

    @property
    def clickhouse(self) -> Engine:
        assert self.engines.clickhouse is not None
        return self.engines.clickhouse

    async def make_tenant(self, slug: str) -> None:
        self.tenant = await self.resources.tenants.create(slug)
        self.key = (await self.resources.keys.create(self.tenant))[1]

    def start(self, process: Process) -> None:
        urls = self.stores
        process.start(database_url=urls.database_url, clickhouse_url=urls.clickhouse_url, settings=self.settings)

    async def restart(self, process: Process) -> None:
        """Start it again, and return when it answers at all: until then it is still away."""
        self.start(process)
        async with httpx2.AsyncClient(timeout=5) as client:
            await eventually(lambda: answers(client, process, "live"), seconds=_START_SECONDS)

    async def supervise(self, process: Process) -> None:
        """Start it until it stays, as Docker does: one that finds no PostgreSQL when it starts says so and ends."""

        async def stays() -> bool:
            if process.has_ended:
                self.start(process)
            return await answers(client, process, "live")

        self.start(process)
        async with httpx2.AsyncClient(timeout=5) as client:
            await eventually(stays, seconds=2 * _START_SECONDS)

    async def start_all(self) -> None:
        for process in (self.api, self.worker):
            self.start(process)
        await self.until_ready()

    async def stop_all(self) -> list[str]:
        """Stop as an operator does; return what was wrong with how they ended."""
        codes = await asyncio.gather(*(each.end(signal.SIGTERM) for each in (self.api, self.worker)))
        return [
            f"{each.role} ended with {code} on SIGTERM"
            for each, code in zip((self.api, self.worker), codes, strict=True)
            if code not in {0, -signal.SIGTERM}  # uvicorn ends by the signal it was sent, once it has drained
        ]

    async def until_ready(self) -> None:
        """Return when API and worker say that they can work."""
        async with httpx2.AsyncClient(timeout=5) as client:
            for process in (self.api, self.worker):
                await eventually(lambda process=process: answers(client, process, "ready"), seconds=_START_SECONDS)

    @asynccontextmanager
    async def proxied(self) -> AsyncGenerator[None]:
        """Let API and worker reach the stores through `proxies` while the block runs."""
        direct = self.stores
        async with run_proxy(direct.database_url) as (postgres, database_url):
            async with run_proxy(direct.clickhouse_url) as (clickhouse, clickhouse_url):
                await self.stop_all()
                self.stores, self.proxies = Stores(database_url, clickhouse_url), (postgres, clickhouse)
                await self.start_all()
                try:
                    yield
                finally:
                    await self.stop_all()
                    self.stores, self.proxies = direct, ()
            await self.start_all()

    async def on_clickhouse(self, *statements: str) -> None:
        for statement in statements:
            await self.resources.clickhouse.execute(statement, purpose="migrate")

    async def command(self, *arguments: str) -> str:
        """Run a command of the service on its stores; return what it printed."""
        urls = {"DATABASE_URL": self.stores.database_url, "CLICKHOUSE_URL": self.stores.clickhouse_url}
        environment = os.environ | urls | dict(self.settings)
        command = [sys.executable, "-m", "segment_copilot", *arguments]
        ran = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@asynccontextmanager
async def run_service(
    engines: Engines, directory: Path, stores: Stores, settings: Mapping[str, str] = {}
) -> AsyncGenerator[Service]:
    """A service on *stores*, not started yet; its own access to them is what faults and checks use.

    *settings* are those of its processes beside the usual ones, as environment variables.
    """
    urls = {"DATABASE_URL": stores.database_url, "CLICKHOUSE_URL": stores.clickhouse_url}
    read = read_settings({**urls, "REFRESH_DEFAULT": "manual", **settings})
    async with open_resources(read) as resources:
        service = Service(engines, directory, resources, stores=stores, settings=settings)
        try:
            yield service
        finally:
            for process in (service.api, service.worker):
                await process.end(signal.SIGKILL)


async def answers(client: httpx2.AsyncClient, process: Process, probe: Literal["live", "ready"]) -> bool:
    try:
        return (await client.get(f"{process.url}/health/{probe}")).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process and all that it started stand still while the block runs, with their sockets open."""
    parent = psutil.Process(pid)
    parent.suspend()  # first: it then starts no more
    family = [parent, *parent.children(recursive=True)]
    for each in family[1:]:
        each.suspend()
    try:
        yield
    finally:
        for each in reversed(family):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def now() -> datetime:
    return datetime.now(UTC)
