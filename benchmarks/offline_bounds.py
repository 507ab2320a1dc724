"""What one text costs the offline model, and what others wait meanwhile: `python benchmarks/offline_bounds.py`.

Two processes: the service as `segment-copilot serve` runs it over the demo shop, and this one, which asks and, side by
side, looks at `/health/live`. CPU is that of the service's process, both together.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from copilot import child, until_open
from segment_copilot import demo
from segment_copilot.embedded import start_engines
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging

SIZE = 2_000
ROUNDS = 3
PAUSE = 0.002  # seconds between two looks at /health/live


def filled(part: str, *, before: str = "users who ", size: int = SIZE) -> str:
    """*part* again and again, up to *size* characters."""
    return (before + part * size)[:size]


SANE = "users who ordered at least 3 times in the last 30 days and live in Germany but have not opened an email in 2 weeks, "
TEXTS = {
    "a plain sentence": "users who ordered at least 3 times in the last 30 days and live in Germany",
    "plain sentences": filled(SANE, before=""),
    "ordered or …": filled("ordered or "),
    "lorem ipsum dolor …": filled("lorem ipsum dolor "),
    "combine a b c d and …": filled("combine a b c d and "),
    "first of the last …": filled("first of the last ", before="users "),
    "a = b …": filled("a = b "),
    "slips": filled("prucahsed custmoers avreage coutnries newslettre "),
    "numbers": filled("12 "),
    "commas": filled("ordered, "),
    "quotes": filled('"'),
    "((((…": filled("(", before=""),
    "users who ((((…": filled("("),
    "aaaa…": filled("a", before=""),
    "users who aaaa…": filled("a"),
    "20 kB": filled("ordered or ", size=20_000),
    "100 kB": filled("ordered or ", size=100_000),
}


class Service:
    """The service's process."""

    def __init__(self, pid: int, client: httpx2.AsyncClient, health: httpx2.AsyncClient) -> None:
        self._pid = pid
        self._client = client
        self._health = health

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its threads."""
        tasks = Path(f"/proc/{self._pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    async def ask(self, text: str) -> None:
        """One stream to its end."""
        answer = await self._client.post("/api/copilot/stream/", json={"messages": [{"role": "user", "content": text}]})
        if answer.status_code != httpx2.codes.OK or b"event: run.finished" not in answer.content:
            raise RuntimeError(answer.text[-500:])

    async def alive(self) -> float:
        """How long it takes to say that it is."""
        started = time.perf_counter()
        answer = await self._health.get("/health/live")
        assert answer.status_code == httpx2.codes.OK
        return time.perf_counter() - started


async def measured(service: Service, text: str) -> tuple[float, float, list[float]]:
    """Seconds of the service's CPU and of the clock, alone; and of every look at /health/live in a second run."""
    before, started = service.cpu(), time.perf_counter()
    await service.ask(text)
    used, taken = service.cpu() - before, time.perf_counter() - started
    asking, looks = asyncio.create_task(service.ask(text)), list[float]()
    while not asking.done():
        looks.append(await service.alive())
        await asyncio.sleep(PAUSE)
    await asking
    return used, taken, looks


async def measure(pid: int, url: str, key: str) -> None:
    """Print the table."""
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}")
    print(f"load {os.getloadavg()[0]:.1f}; medians of {ROUNDS}, the slowest look of all\n")
    print(
        "| text | characters | CPU ms | answered after ms | slowest /health/live meanwhile, ms |\n|---|---:|---:|---:|---:|"
    )
    headers = {"Authorization": f"ApiKey {key}"}
    async with (
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=120) as client,
        httpx2.AsyncClient(base_url=url, timeout=120) as health,
    ):
        service = Service(pid, client, health)
        await service.ask(TEXTS["a plain sentence"])
        idle = [await service.alive() for _ in range(200)]
        print(f"| nothing | | | | {max(idle) * 1000:.0f} |", flush=True)
        for name, text in TEXTS.items():
            rounds = [await measured(service, text) for _ in range(ROUNDS)]
            used, taken = (
                statistics.median(times) * 1000
                for times in zip(*((used, taken) for used, taken, _ in rounds), strict=True)
            )
            slowest = max(max(looks) for _, _, looks in rounds) * 1000
            print(f"| {name} | {len(text):,} | {used:.0f} | {taken:.0f} | {slowest:.0f} |", flush=True)


async def prepare(settings: Settings) -> str:
    """The demo shop, and its key."""
    async with open_resources(settings) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await demo.load_demo(resources, ends_at=datetime.now(UTC))
        return (await resources.keys.create(tenant))[1]


@contextmanager
def serving(environment: dict[str, str]) -> Generator[tuple[int, str]]:
    """The service on a free port: its process and address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | environment | {"PORT": str(port), "LOG_LEVEL": "error"}
    with child(sys.executable, "-m", "segment_copilot", "serve", environment=environment) as process:
        until_open("127.0.0.1", port)
        yield process.pid, f"http://127.0.0.1:{port}"


def main() -> None:
    """Print the table."""
    configure_logging(level="error", form="console")
    with tempfile.TemporaryDirectory(prefix="segment-copilot-benchmark-") as folder:
        data = Path(folder)
        data.chmod(0o711)
        with start_engines(data) as engines:
            stores = {"DATABASE_URL": engines.database_url, "CLICKHOUSE_URL": engines.clickhouse_url}
            settings = Settings(database_url=engines.database_url, clickhouse_url=engines.clickhouse_url)
            key = asyncio.run(prepare(settings))
            with serving(stores | {"COPILOT_MODEL": "offline"}) as (pid, url):
                asyncio.run(measure(pid, url, key))


if __name__ == "__main__":
    main()
