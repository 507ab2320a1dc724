"""Look up one user's memberships in the running service: `python benchmarks/look_up.py [--users 500000]`.

200 segments, 11.8 million members of half a million users, written as computations write them. Client, service and
engines share the machine; so the client is a socket that costs nearly nothing (a client library took as long as the service:
httpx 0.7 ms a request, in the service's own process). First one client asks one request after the other, then eight side by side; `live` evaluates
200 definitions about one user (the twelve audiences, drawn as in `together.py`, over no events).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from compare import machine
from memberships import SEGMENTS, share
from segment_copilot.access.tenants import Tenant
from segment_copilot.commands.serving import running
from segment_copilot.embedded import start_engines
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging
from shapes import twelve
from together import Draw

CLIENTS = 8


async def fill(resources: Resources, tenant: Tenant, users: int) -> None:
    """Save the segments and publish a run of each, whoever would match."""
    draw, shapes = Draw(7), [shape for shape in twelve() if not shape.references]
    for number in range(1, SEGMENTS + 1):
        definition = draw.redrawn(shapes[number % len(shapes)].definition)
        saved = await resources.segments.create(
            tenant, name=f"Segment {number}", definition=msgspec.json.encode(definition)
        )
        run = UUID(int=number)
        params = {
            "tenant": tenant.id,
            "segment": saved.segment.id,
            "run": run,
            "users": users,
            "share": int(share(number) * 1e5),
        }
        sql = """
            INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
            SELECT {tenant:UInt32}, {segment:UInt64}, {run:UUID}, groupBitmapState(toUInt32(number + 1))
            FROM numbers({users:UInt32}) WHERE sipHash64(number, {segment:UInt64}) % 100000 < {share:UInt32}"""
        await resources.clickhouse.execute(sql, params, purpose="compute")
        sql = "UPDATE segments SET published_run = $3, last_computed_at = now(), status = 'computed' WHERE tenant_id = $1 AND id = $2"
        await resources.postgres.execute(sql, tenant.id, saved.segment.id, run)
    sql = """
        INSERT INTO user_numbers (tenant_id, user_id, user_key, number)
        SELECT {tenant:UInt32}, concat('user_', leftPad(toString(number), 7, '0')) AS id, sipHash64(id), number + 1
        FROM numbers({users:UInt32})"""
    await resources.clickhouse.execute(sql, {"tenant": tenant.id, "users": users}, purpose="compute")
    for table in ("segment_states", "user_numbers"):
        await resources.clickhouse.execute(f"OPTIMIZE TABLE {table} FINAL", purpose="migrate")


class Client:
    """One connection that stays."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader, self._writer = reader, writer
        self._rest = f"HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {key}\r\nAccept: application/json\r\n\r\n"

    @classmethod
    async def connected(cls, url: str, key: str) -> Client:
        """A client of the service at *url*."""
        at = urlsplit(url)
        return cls(*await asyncio.open_connection(at.hostname, at.port), key)

    async def ask(self, path: str) -> float:
        """Milliseconds of one request, until its last byte."""
        started = time.perf_counter()
        self._writer.write(f"GET {path} {self._rest}".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        body = await self._reader.readexactly(int(length.partition(b":")[2]))
        assert head.startswith(b"http/1.1 200"), body
        return (time.perf_counter() - started) * 1000


def told(name: str, taken: list[float], started: tuple[float, float]) -> str:
    """A row of the table; *started*: by the clock, and by the CPU time of this process."""
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    taken = sorted(taken)
    half, most = statistics.median(taken), taken[len(taken) * 99 // 100]
    return f"| {name} | {half:.1f} | {most:.1f} | {len(taken) / seconds:.0f} | {1000 * cpu / len(taken):.1f} |"


def now() -> tuple[float, float]:
    """The clock, and the CPU time of this process."""
    return time.perf_counter(), time.process_time()


async def measure(settings: Settings, users: int, times: int) -> None:
    """Fill, ask and print."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("acme")
        _, key = await resources.keys.create(tenant)
        await fill(resources, tenant, users)
    dice = random.Random(7)
    paths = [f"/api/segments/membership/?user_id=user_{dice.randrange(users):07d}" for _ in range(times)]
    async with running(settings) as (url, _):
        alone = await Client.connected(url, key)
        print("\n| | p50 ms | p99 ms | requests/s | CPU ms of service and client |\n|---|---:|---:|---:|---:|")
        for path in paths[:20]:
            await alone.ask(path)
        started = now()
        taken = [await alone.ask(path) for path in paths]
        print(told("stored, one client", taken, started), flush=True)

        async def some(number: int) -> list[float]:
            return [await clients[number].ask(path) for path in paths[number::CLIENTS]]

        clients = [await Client.connected(url, key) for _ in range(CLIENTS)]
        started = now()
        together = await asyncio.gather(*(some(number) for number in range(CLIENTS)))
        taken = [one for part in together for one in part]
        print(told(f"stored, {CLIENTS} clients", taken, started), flush=True)
        alone = await Client.connected(url, key)
        started = now()
        taken = [await alone.ask(f"{path}&live=true") for path in paths[:20]]
        print(told("live, one client", taken, started), flush=True)


def main() -> None:
    """Start engines of its own and measure."""
    parser = argparse.ArgumentParser(description="Look up memberships in the running service.")
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--times", type=int, default=1_000)
    given = parser.parse_args()
    configure_logging(level="error", form="console")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        with start_engines(Path(directory)) as engines:
            print(machine())
            settings = Settings(
                database_url=engines.database_url,
                clickhouse_url=engines.clickhouse_url,
                port=0,
                refresh_default="manual",
            )
            asyncio.run(measure(settings, given.users, given.times))


if __name__ == "__main__":
    main()
