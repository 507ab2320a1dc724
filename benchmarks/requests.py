"""What reading segments costs: `python benchmarks/requests.py [--requests 3000] [--profile FILE]`.

A segment is read from this service and from a bare Litestar handler that does the same SELECT and answers the same bytes, in
turns; so it is where PostgreSQL confines the service to one tenant at a time; then 1,000 segments are listed, filtered and sorted. Each service is a process of its own, so that its CPU can be told
from the client's: on a machine that does other things too, CPU is what compares.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import uvicorn
from litestar import Litestar, MediaType, Response, get
from litestar.params import FromPath
from msgspec import structs

from segment_copilot.app import create_app
from segment_copilot.commands.serving import Server, server_config
from segment_copilot.embedded import start_engines
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings, read_settings
from segment_copilot.stores.migrations import migrate, tables
from segment_copilot.stores.postgres import open_postgres
from segment_copilot.stores.roles import confine_role
from segment_copilot.telemetry.logs import configure_logging

SEGMENTS = 1_000
CONNECTIONS = 8
ROUNDS = 7
ROLE = "benchmark_service"
DEFINITION = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2, "window_days": 90},
        {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum", "operator": "gt", "value": 9.5},
        {"type": "user_property", "property": "country", "operator": "in", "value": ["ES", "US"]},
    ],
}  # fmt: skip
LISTS = {
    "50 by id": "",
    "1,000 by id": "?limit=1000",
    "50 by name": "?order=name",
    "50 by members, the most first": "?order=-member_count",
    "50 of a filter of four": "?status=draft&tier=dynamic_plus&is_active=true&search=segment%209",
    "id and name of 1,000": "?limit=1000&fields=id,name",
    "page 20 of 50, by name": "?order=name&page=20",
}


# The services


def bare(settings: Settings) -> Litestar:
    """A handler that does the same SELECT and answers the same bytes, and nothing else."""

    async def open_pool(app: Litestar) -> None:
        app.state.pool = await asyncpg.create_pool(settings.database_url, min_size=1, max_size=10)

    @get("/api/segments/{segment_id:int}")
    async def get_segment(segment_id: FromPath[int], request: Any) -> Response[bytes]:
        row = await request.app.state.pool.fetchrow(
            "SELECT id, name, description, segment_type, tier, status, definition, words, version, is_active, "
            "member_count, last_computed_at, last_error, refresh_mode, refresh_every, paused_since, next_refresh_at, "
            "last_refreshed_at, created_at, updated_at "
            "FROM segments WHERE tenant_id = $1 AND id = $2",
            1,
            segment_id,
        )
        answer = dict(row) | {"definition": msgspec.Raw(row["definition"])}
        names = {"refresh_mode": "mode", "refresh_every": "every", "paused_since": "paused_since"}
        answer["refresh"] = {name: answer.pop(column) for column, name in names.items()}
        return Response(msgspec.json.encode(answer), media_type=MediaType.JSON)

    return Litestar([get_segment], on_startup=[open_pool], openapi_config=None, logging_config=None)


def serve(kind: str, settings: Settings, profile: str | None) -> None:
    """Run one of the services in this process."""
    configure_logging(level="error", form="console")
    app = create_app(settings) if kind == "ours" else bare(settings)
    config = server_config(app, host="127.0.0.1", port=settings.port)
    server = (Server if kind == "ours" else uvicorn.Server)(config)
    if profile is None:
        server.run()
        return
    import cProfile  # noqa: PLC0415 - of this one case
    import pstats  # noqa: PLC0415

    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it once more at its end
    profiler = cProfile.Profile()
    profiler.runcall(server.run)
    pstats.Stats(profiler).dump_stats(profile)


class Service(msgspec.Struct):
    """A service in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    key: str

    def cpu(self) -> float:
        """Seconds of CPU so far, of threads that have ended too."""
        return time.clock_gettime(~self.process.pid << 3 | 2)


@contextmanager
def running(kind: str, settings: Settings, key: str, profile: str | None = None) -> Generator[Service]:
    """A service, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": settings.database_url,
        "CLICKHOUSE_URL": settings.clickhouse_url,
        "PORT": str(port),
        "REQUESTS_PER_MINUTE": "100000000",
        "TENANT_REQUESTS_PER_MINUTE": "100000000",
    }
    command = [sys.executable, __file__, "--serve", kind, *(["--profile", profile] if profile else [])]
    process = subprocess.Popen(command, env=environment)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Service(process, port, key)
    finally:
        process.terminate()
        process.wait()


# The client


async def ask(
    service: Service,
    path: str,
    times: int,
    headers: Mapping[str, str] | None = None,
    connections: int = CONNECTIONS,
    keys: Sequence[tuple[str, int]] = (),
) -> tuple[float, float, bytes]:
    """Ask *times* over a few connections; CPU ms of the service and ms by the clock, each of one request, and an answer.

    Of several *keys* each connection has the next one, and asks for the segment of that number.
    """

    def request_of(key: str, path: str) -> bytes:
        sent = {"Host": "x", "Authorization": f"ApiKey {key}", "Accept": "application/json", **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()

    left = iter(range(times))
    callers = [request_of(key, f"/api/segments/{number}/") for key, number in keys] or [request_of(service.key, path)]
    requests = [callers[number % len(callers)] for number in range(connections)]
    body = b""

    async def one_connection(request: bytes) -> None:
        nonlocal body
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        for _ in left:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")), head
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b":0")
            body = await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()

    cpu, started = service.cpu(), time.perf_counter()
    await asyncio.gather(*(one_connection(request) for request in requests))
    return (service.cpu() - cpu) * 1000 / times, (time.perf_counter() - started) * 1000 / times, body


async def fill(settings: Settings) -> tuple[str, list[tuple[str, int]]]:
    """A tenant with its segments, and its key; some more tenants, each a key and the number of its segment."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("benchmark")
        for number in range(SEGMENTS):
            await resources.segments.create(tenant, name=f"Segment {number * 7919 % SEGMENTS}", definition=DEFINITION)
        await resources.postgres.execute("UPDATE segments SET member_count = id * 31 % 997 WHERE id % 5 > 0")
        await resources.postgres.execute("ANALYZE segments")
        others = list[tuple[str, int]]()
        for number in range(CONNECTIONS):
            other = await resources.tenants.create(f"other-{number}")
            saved = await resources.segments.create(other, name="One", definition=DEFINITION)
            others.append(((await resources.keys.create(other))[1], saved.segment.id))
        return (await resources.keys.create(tenant))[1], others


async def confine(settings: Settings) -> Settings:
    """The settings of a service that works as a role which sees one tenant at a time."""
    async with open_postgres(settings.database_url, pool=1) as postgres:
        await postgres.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'")
        await confine_role(postgres, ROLE, tables=tables("postgres"))
    parts = urlsplit(settings.database_url)
    url = parts._replace(netloc=f"{ROLE}:{ROLE}@{parts.hostname}:{parts.port}").geturl()
    return structs.replace(settings, database_url=url)


async def measure(
    ours: Service, bare_handler: Service, confined: Service, others: list[tuple[str, int]], requests: int
) -> None:
    """Print the tables."""
    path = "/api/segments/500/"
    *_, mine = await ask(ours, path, 200)
    *_, theirs = await ask(bare_handler, path.rstrip("/"), 200)
    assert {**msgspec.json.decode(mine), "last_error": None} == msgspec.json.decode(theirs)
    taken = dict[str, list[tuple[float, float]]]()
    etag = {"If-None-Match": "*"}
    for _ in range(ROUNDS):
        for name, found in (
            ("bare", await ask(bare_handler, path.rstrip("/"), requests)),
            ("ours", await ask(ours, path, requests)),
            ("ours, 304", await ask(ours, path, requests, etag)),
            ("ours, row-level security", await ask(confined, path, requests)),
            (f"ours, {CONNECTIONS} tenants in turns", await ask(ours, path, requests, keys=others)),
            ("the same, row-level security", await ask(confined, path, requests, keys=others)),
        ):
            taken.setdefault(name, []).append(found[:2])
    print("| segment GET | CPU ms | ms by the clock | bare ÷ this, CPU |\n|---|---:|---:|---:|")
    middle = {name: [statistics.median(each) for each in zip(*found, strict=True)] for name, found in taken.items()}
    for name, (cpu, clock) in middle.items():
        print(f"| {name} | {cpu:.3f} | {clock:.3f} | {middle['bare'][0] / cpu:.2f} |")
    print(f"\n| of {SEGMENTS:,} segments | CPU ms | ms by the clock | kB |\n|---|---:|---:|---:|")
    for name, query in LISTS.items():
        rounds = [await ask(ours, f"/api/segments/{query}", 20, connections=1) for _ in range(ROUNDS)]
        cpu, clock = (statistics.median(each) for each in zip(*(found[:2] for found in rounds), strict=True))
        print(f"| {name} | {cpu:.2f} | {clock:.2f} | {len(rounds[0][2]) / 1000:,.0f} |")


def main() -> None:
    """Serve, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--profile", help="write a profile of this service here, after reading one segment")
    parser.add_argument("--serve", choices=("ours", "bare"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, read_settings(os.environ), arguments.profile)
        return
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with start_engines(data) as engines:
            settings = Settings(
                database_url=engines.database_url,
                clickhouse_url=engines.clickhouse_url,
                port=0,
                refresh_default="manual",
            )
            key, others = asyncio.run(fill(settings))
            as_role = asyncio.run(confine(settings))
            if arguments.profile:
                with running("ours", settings, key, arguments.profile) as ours:
                    asyncio.run(ask(ours, "/api/segments/500/", arguments.requests))
                return
            with (
                running("ours", settings, key) as ours,
                running("bare", settings, key) as bare_handler,
                running("ours", as_role, key) as confined,
            ):
                asyncio.run(measure(ours, bare_handler, confined, others, arguments.requests))


if __name__ == "__main__":
    main()
