"""What the service holds while nobody asks it anything: tasks, sessions, queries, sockets and streams. A fault may leave no more."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Final

import httpx2
import psutil
from msgspec import Struct

from segment_copilot.stores.merging import ROWS
from tests.chaos.service import Process, Service

_PATIENCE_SECONDS: Final = 40.0  # statements whose answer was lost end by their own limits
_SESSIONS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND (state LIKE 'idle in transaction%' OR (state = 'active' AND now() - query_start > interval '1 second'))
"""
_QUERIES: Final = """
SELECT count() FROM system.processes
WHERE current_database = currentDatabase() AND elapsed > 1 AND query NOT LIKE '%system.processes%'
"""
_STREAMS: Final = re.compile(r"^segment_copilot_http_open_streams (\d+)", re.MULTILINE)


class Held(Struct, frozen=True):
    """What is held at one moment."""

    tasks: Counter[str]
    """Of API and worker, by role and coroutine."""
    sessions: int
    """Of PostgreSQL, at work for over a second or in a transaction that nobody goes on with."""
    queries: int
    """Of ClickHouse, older than a second."""
    half_closed: int
    """Sockets of API and worker whose other end has gone."""
    streams: int

    def beyond(self, before: Held) -> list[str]:
        """Return what is more than *before*, as sentences."""
        wrong = [f"{count} more task(s) {name}" for name, count in (self.tasks - before.tasks).items()]
        for name in ("sessions", "queries", "half_closed", "streams"):
            more = getattr(self, name) - getattr(before, name)
            wrong += [f"{more} more {name}"] if more > 0 else []
        return wrong


async def count_held(service: Service) -> Held:
    """Count it, once nobody asks the service for anything any more."""
    processes = (service.api, service.worker)
    tasks = Counter[str]()
    for process in processes:
        tasks += await _tasks(process)
    found = await service.resources.clickhouse.fetch(_QUERIES, purpose="catalog", merge=ROWS)
    async with httpx2.AsyncClient(timeout=5) as client:
        metrics = (await client.get(f"{service.api.url}/metrics")).text
    streams = _STREAMS.search(metrics)
    return Held(
        tasks=tasks,
        sessions=await service.resources.postgres.fetchval(_SESSIONS),
        queries=sum(number for (number,) in found.rows),
        half_closed=sum(
            one.status == psutil.CONN_CLOSE_WAIT
            for process in processes
            for one in psutil.Process(process.pid).net_connections("tcp")
        ),
        streams=int(streams[1]) if streams else 0,
    )


async def left_behind(service: Service, before: Held) -> list[str]:
    """Return what is still held beyond *before* after a while, as sentences."""
    began, wrong = time.monotonic(), ["it could not be counted"]
    while time.monotonic() - began < _PATIENCE_SECONDS:
        try:
            wrong = (await count_held(service)).beyond(before)
        except Exception as error:  # noqa: BLE001  # our own look may come too early
            wrong = [f"it could not be counted: {error}"]
        if not wrong:
            return []
        await asyncio.sleep(0.5)
    return [f"left behind: {one}" for one in wrong]


async def _tasks(process: Process) -> Counter[str]:
    """Ask the process for its tasks (`observed`)."""
    file = process.tasks
    file.unlink(missing_ok=True)
    os.kill(process.pid, signal.SIGUSR1)
    async with asyncio.timeout(10):
        while not file.exists():  # noqa: ASYNC110  # of another process
            await asyncio.sleep(0.02)
    return Counter({f"{process.role}: {name}": count for name, count in _read(file).items()})


def _read(file: Path) -> dict[str, int]:
    return json.loads(file.read_text("utf-8"))
