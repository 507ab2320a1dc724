"""A service under a mixed load for a while: `python benchmarks/soak.py [--minutes 10] [--streams 200] [--previews 1] …`.

The engines, the API, a worker, a model that streams (copilot_upstream.py) and this process, which makes the load and takes the
webhooks, share the machine and speak over loopback. Rates are a second; what is asked comes when it is due, whatever came of what
was asked before, and at most `MOST` of a kind are open at once. Printed are requests, errors and times by kind, the memory of API and
worker over time, and what both hold before and after. Exits with 1 if anything failed or is left over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx2

from compare import machine
from copilot import HERE, child, line
from noisy_tenant import asked, fill
from segment_copilot.activations.secrets import new_key
from segment_copilot.audiences.schedules import Wanted
from segment_copilot.embedded import Engines, start_engines
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

MOST: Final = 50  # open requests of a kind
SAMPLED: Final = 5.0  # seconds between two looks at memory
SETTLED: Final = 0.3  # of the time, after which memory is looked at for growth: caches are filled by then
QUIET_SECONDS: Final = 20.0  # after the load, before what is left over is counted
COUNTRIES: Final = ("ES", "PL", "PT", "DE")
Ask = Callable[[int], Coroutine[Any, Any, None]]


class Seen:
    """What came of the load, by kind."""

    def __init__(self) -> None:
        self.taken = defaultdict[str, list[float]](list)
        self.errors = Counter[str]()
        self.skipped = Counter[str]()

    def note(self, kind: str, started: float, error: str = "") -> None:
        """Note one that ended now."""
        self.taken[kind].append(time.perf_counter() - started)
        if error:
            self.errors[f"{kind}: {error}"] += 1


class Running:
    """A process of the service."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], answers: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.memory: list[tuple[float, float]] = []
        self._answers = answers

    def look(self, at: float) -> None:
        """Note how much memory is resident, in MiB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.memory.append((at, pages * os.sysconf("SC_PAGE_SIZE") / 2**20))

    def cpu(self) -> float:
        """Return the seconds of CPU so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def growth(self) -> float:
        """Return by how many MiB an hour memory grows, once caches are filled: the median of all pairs' slopes."""
        settled = self.memory[int(len(self.memory) * SETTLED) :]
        slopes = [
            (mib - before) / (at - then) * 3600
            for index, (then, before) in enumerate(settled)
            for at, mib in settled[index + 1 :]
        ]
        return statistics.median(slopes) if slopes else 0.0

    async def told(self) -> dict[str, Any]:
        """Return what the process says that it holds."""
        self._answers.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR2)
        async with asyncio.timeout(120):
            while not self._answers.exists():  # noqa: ASYNC110  # of another process
                await asyncio.sleep(0.05)
        return json.loads(self._answers.read_text())


class Receiver:
    """Takes webhooks: answers each 204, and notes how long after its publication it came."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(row[15:]) for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:")
                )
                body = json.loads(await reader.readexactly(length))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                published = (
                    datetime.fromisoformat(body["published_at"]) if "published_at" in body else datetime.now(UTC)
                )
                late = (datetime.now(UTC) - published).total_seconds()
                self._seen.taken["webhook, after its publication"].append(late)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Load:
    """Asks the API for everything, at its rate."""

    def __init__(self, url: str, key: str, seen: Seen, *, users: int, segments: list[int]) -> None:
        self._url, self._key, self._seen = url, key, seen
        self._users, self._segments = users, segments
        self._draw = random.Random(3)
        self.open_streams = 0
        self.finished = 0
        limits = httpx2.Limits(max_connections=2_000, max_keepalive_connections=500)
        headers = {"Authorization": f"ApiKey {key}"}
        self.client = httpx2.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits)

    async def _request(self, kind: str, method: str, path: str, **more: Any) -> None:
        started, error = time.perf_counter(), ""
        try:
            answer = await self.client.request(method, path, **more)
            if not answer.is_success:
                error = f"{answer.status_code} {answer.text[:120]}"
        except httpx2.HTTPError as raised:
            error = type(raised).__name__
        self._seen.note(kind, started, error)

    def _user(self) -> str:
        return f"user-{self._draw.randrange(self._users)}"

    async def ingest(self, number: int) -> None:
        """Send a batch of fifty events; every tenth event says where somebody is."""
        events = [
            {"user_id": self._user(), "event_type": "context_identified", "payload": {"country": self._draw.choice(COUNTRIES)}}
            if each % 10 == 0
            else {"user_id": self._user(), "event_type": self._draw.choice(("order_placed", "page_viewed")), "payload": {"x": number % 100}}
            for each in range(50)
        ]  # fmt: skip
        await self._request("ingestion, 50 events", "POST", "/api/ingestion/track/batch/", json={"events": events})

    async def preview(self, number: int) -> None:
        """Count three conditions."""
        await self._request("preview", "POST", "/api/segments/preview/", json=asked(number % 1_000))

    async def look_up(self, _: int) -> None:
        """Ask for one user's segments."""
        await self._request("look-up", "GET", "/api/segments/membership/", params={"user_id": self._user()})

    async def read(self, number: int) -> None:
        """Read a page of segments, or one, or the newest members of one."""
        one = self._segments[number % len(self._segments)]
        path = ("/api/segments/", f"/api/segments/{one}/", f"/api/segments/{one}/members/")[number % 3]
        await self._request("reading", "GET", path)

    async def compute(self, number: int) -> None:
        """Ask for a computation of one segment; what is due by itself is refreshed besides."""
        one = self._segments[number % len(self._segments)]
        await self._request("computation asked for", "POST", f"/api/segments/{one}/compute/")

    async def stream(self, deltas: int) -> None:
        """Hold one conversation after another open, each of so many deltas, one a second."""
        body = {"messages": [{"role": "user", "content": f"bench:flow:{deltas}:1000000"}]}
        while True:
            started, error, tail = time.perf_counter(), "", b""
            self.open_streams += 1
            try:
                async with self.client.stream("POST", "/api/copilot/stream/", json=body) as answer:
                    first = 0.0
                    async for chunk in answer.aiter_raw():
                        if not first:
                            first = time.perf_counter() - started
                            self._seen.taken["copilot stream, first bytes"].append(first)
                        tail = (tail + chunk)[-8192:]
                    if b"event: run.finished" not in tail:
                        error = f"{answer.status_code} ended with {tail[-160:]!r}"
            except httpx2.HTTPError as raised:
                error = type(raised).__name__
            finally:
                self.open_streams -= 1
            self.finished += 1
            self._seen.note("copilot stream, whole", started, error)

    async def every(self, kind: str, rate: float, ask: Ask, until: float) -> None:
        """Ask *rate* times a second, each in a task of its own; what is due while `MOST` are open is left out, and counted."""
        going, number, due = set[asyncio.Task[None]](), 0, time.perf_counter()
        while (due := due + 1 / rate) < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            number += 1
            if len(going) >= MOST:
                self._seen.skipped[kind] += 1
                continue
            task = asyncio.create_task(ask(number))
            going.add(task)
            task.add_done_callback(going.discard)
        if going:
            await asyncio.wait(going)


def definition(number: int) -> dict[str, Any]:
    """Of four segments two ask for a trait, one counts, one adds up."""
    if number % 2 == 0:
        country = COUNTRIES[number // 2 % len(COUNTRIES)]
        condition = {"type": "user_property", "property": "country", "operator": "eq", "value": country}
    elif number % 4 == 1:
        condition = {
            "type": "event_count",
            "event_type": "order_placed",
            "operator": "gte",
            "value": 1 + number % 5,
            "window_days": 30,
        }
    else:
        condition = {
            "type": "monetary",
            "event_type": "order_placed",
            "property": "x",
            "metric": "sum",
            "operator": "gt",
            "value": number * 10,
        }
    return {"logic": "AND", "conditions": [condition]}  # fmt: skip


async def prepare(settings: Settings, given: argparse.Namespace) -> tuple[str, list[int]]:
    """A tenant with a past and segments that refresh by themselves: by traits, live, and every hour; its key."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("soak")
        await fill(resources, tenant, given.users)
        modes = (Wanted("auto"), Wanted("live"), Wanted("auto"), Wanted("manual"))
        ids = [
            (
                await resources.segments.create(
                    tenant, name=f"S{n}", definition=definition(n), refresh=modes[n % len(modes)]
                )
            ).segment.id
            for n in range(given.segments)
        ]
        for one in ids:
            await resources.computations.request(tenant, one)
        while await resources.computations.run_next():
            pass
        return (await resources.keys.create(tenant))[1], ids


async def held(service: list[Running], engines: Engines, url: str) -> dict[str, Any]:
    """What both processes and the stores hold."""
    found = dict[str, Any]()
    for one in service:
        for name, value in (await one.told()).items():
            found[f"{one.name}: {name}"] = value
    async with open_resources(
        Settings(database_url=engines.database_url, clickhouse_url=engines.clickhouse_url)
    ) as resources:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        found["PostgreSQL: other connections"] = await resources.postgres.fetchval(sql)
        sql = "SELECT value FROM system.metrics WHERE metric = 'TCPConnection'"
        found["ClickHouse: connections"] = (
            int((await resources.clickhouse.fetch(sql, purpose="catalog")).rows[0][0]) - 1
        )
        sql = "SELECT count() - 1 FROM system.processes WHERE query NOT LIKE '%sleepEachRow%'"
        found["ClickHouse: queries"] = int((await resources.clickhouse.fetch(sql, purpose="catalog")).rows[0][0])
    async with httpx2.AsyncClient(base_url=url) as client:
        rows = (await client.get("/metrics")).text.splitlines()
    found["open streams, as the API counts them"] = next(
        float(row.rpartition(" ")[2]) for row in rows if row.startswith("segment_copilot_http_open_streams ")
    )
    return found


async def soak(url: str, key: str, segments: list[int], service: list[Running], engines: Engines, given: argparse.Namespace, receiver: socket.socket) -> bool:  # fmt: skip
    """Make the load, and print what came of it; whether all was well."""
    seen = Seen()
    hooks = await asyncio.start_server(Receiver(seen).serve, sock=receiver)
    load = Load(url, key, seen, users=given.users, segments=segments)
    hook = {"url": f"http://127.0.0.1:{receiver.getsockname()[1]}/", "events": ["segment.recomputed", "segment.entered", "segment.left"]}  # fmt: skip
    (await load.client.post("/api/webhooks/", json=hook)).raise_for_status()
    kinds: list[tuple[str, float, Ask]] = [
        ("ingestion", given.ingestion, load.ingest),
        ("preview", given.previews, load.preview),
        ("look-up", given.lookups, load.look_up),
        ("reading", given.readings, load.read),
        ("computation", given.computations, load.compute),
    ]
    for _, _, ask in kinds:  # what every process pays once
        await ask(0)
    seen.taken.clear()
    before, begun = await held(service, engines, url), time.perf_counter()
    cpu = [one.cpu() for one in service]
    until = begun + given.minutes * 60
    streams = [asyncio.create_task(load.stream(given.deltas)) for _ in range(given.streams)]
    sending = asyncio.gather(*(load.every(name, rate, ask, until) for name, rate, ask in kinds if rate))
    most_open = 0
    while not sending.done():
        for one in service:
            one.look(time.perf_counter() - begun)
        most_open = max(most_open, load.open_streams)
        await asyncio.wait([sending], timeout=SAMPLED)
    await sending
    seconds, spent = time.perf_counter() - begun, [one.cpu() - then for one, then in zip(service, cpu, strict=True)]
    for task in streams:
        task.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    await load.client.aclose()
    await asyncio.sleep(QUIET_SECONDS)
    after = await held(service, engines, url)
    hooks.close()
    show(seen, seconds)
    print(f"\nAt most {most_open} streams were open at once; {load.finished} came to their end.\n")
    show_memory(service, spent, seconds)
    show_held(before, after)
    for error, count in seen.errors.most_common(20):
        print(f"error, {count} ×: {error}")
    left_over = after["open streams, as the API counts them"] != 0 or after["ClickHouse: queries"] > 0
    return not seen.errors and not left_over


def show(seen: Seen, seconds: float) -> None:
    """Print the table of requests."""
    print(
        "| kind | number | a second | errors | left out | p50 ms | p99 ms | slowest ms |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for kind, taken in sorted(seen.taken.items()):
        errors = sum(count for error, count in seen.errors.items() if error.startswith(f"{kind}: "))
        skipped = sum(count for name, count in seen.skipped.items() if kind.startswith(name))
        p50, p99 = statistics.median(taken), sorted(taken)[min(len(taken) - 1, int(len(taken) * 0.99))]
        print(f"| {kind} | {len(taken):,} | {len(taken) / seconds:.2f} | {errors} | {skipped} | {p50 * 1000:,.0f} | {p99 * 1000:,.0f} | {max(taken) * 1000:,.0f} |")  # fmt: skip


def show_memory(service: list[Running], spent: list[float], seconds: float) -> None:
    """Print memory over time: at the tenths of the run, and its growth."""
    print(
        "| process | CPU, of a core | " + " | ".join(f"{tenth * 10} %" for tenth in range(1, 11)) + " | MiB an hour |"
    )
    print("|---|---:" + "|---:" * 11 + "|")
    for one, cpu in zip(service, spent, strict=True):
        at = [one.memory[min(len(one.memory) - 1, len(one.memory) * tenth // 10)][1] for tenth in range(1, 11)]
        print(f"| {one.name}, MiB resident | {cpu / seconds:.2f} | " + " | ".join(f"{mib:.0f}" for mib in at) + f" | {one.growth():+.1f} |")  # fmt: skip


def show_held(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Print what was held before and after."""
    print("\n| held | before | after |\n|---|---:|---:|")
    for name, value in before.items():
        if not isinstance(value, dict):
            print(f"| {name} | {value:,.0f} | {after[name]:,.0f} |")
    for name, value in before.items():
        if isinstance(value, dict) and (more := Counter(after[name]) - Counter(value)):
            print(f"\nnew in {name}: {dict(more)}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def until_ready(url: str) -> None:
    """Wait until the API says that it is ready."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{url}/health/ready").is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the service is not ready")


def read_options() -> argparse.Namespace:
    """Read what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--segments", type=int, default=24)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--deltas", type=int, default=40, help="of a stream, one a second")
    parser.add_argument("--ingestion", type=float, default=2, help="batches of 50 events a second")
    parser.add_argument("--previews", type=float, default=1, help="a second")
    parser.add_argument("--lookups", type=float, default=5, help="a second")
    parser.add_argument("--readings", type=float, default=3, help="a second")
    parser.add_argument("--computations", type=float, default=0.1, help="a second")
    parser.add_argument(
        "--profile", type=Path, help="a py-spy: writes where API and worker spend their time, in raw form"
    )
    return parser.parse_args()


def main() -> None:
    """Start everything, make the load, tell."""
    given = read_options()
    configure_logging(level="error", form="console")
    print(f"{machine()}, load {os.getloadavg()[0]:.0f} before; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {' '.join(sys.argv[1:])}\n", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="segment-copilot-soak-") as folder, ExitStack() as stack:
        data = Path(folder)
        data.chmod(0o711)
        engines = stack.enter_context(start_engines(data))
        upstream = stack.enter_context(child(sys.executable, str(HERE / "copilot_upstream.py")))
        settings = Settings(database_url=engines.database_url, clickhouse_url=engines.clickhouse_url)
        key, segments = asyncio.run(prepare(settings, given))
        port = free_port()
        environment = os.environ | {
            "DATABASE_URL": engines.database_url,
            "CLICKHOUSE_URL": engines.clickhouse_url,
            "PORT": str(port),
            "WORKER_PORT": "0",
            "LOG_LEVEL": "error",
            "OUTGOING_ALLOW": "127.0.0.0/8",
            "SECRETS_KEYS": new_key(),  # webhooks are signed
            "COPILOT_MODEL": "claude",
            "ANTHROPIC_API_KEY": "sk-bench",
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{int(line(upstream))}",
        }
        service = list[Running]()
        for name, command in (("API", "serve"), ("worker", "worker")):
            answers = data / f"{command}.json"
            script = [sys.executable, str(HERE / "soak_process.py"), str(answers), command]
            process = subprocess.Popen(
                script, env=environment, start_new_session=True
            )  # scheduled by itself, as a service is
            stack.callback(process.wait)
            stack.callback(process.terminate)
            service.append(Running(name, process, answers))
        until_ready(url := f"http://127.0.0.1:{port}")
        if given.profile:
            for one in service:
                record = [str(given.profile), "record", "--pid", str(one.pid), "--format", "raw", "--rate", "50"]
                length = [
                    "--duration",
                    str(int(given.minutes * 60)),
                    "--output",
                    f"soak-{one.name.lower()}.txt",
                    "--nonblocking",
                ]
                stack.callback(subprocess.Popen([*record, *length], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait)  # fmt: skip
        receiver = socket.create_server(("127.0.0.1", 0))
        is_well = asyncio.run(soak(url, key, segments, service, engines, given, receiver))
        print(f"\nload {os.getloadavg()[0]:.0f} after; {'all was well' if is_well else 'NOT all was well'}")
    sys.exit(not is_well)


if __name__ == "__main__":
    main()
