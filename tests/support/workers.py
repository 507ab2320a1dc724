"""Workers as processes of their own, which a test may kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.stores.postgres import Postgres
from tests.support.resources import SECRETS_KEY


class Worker:
    """A worker process that can be killed and started again."""

    def __init__(self, database_url: str, clickhouse_url: str) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "CLICKHOUSE_URL": clickhouse_url,
            "LOG_LEVEL": "info",
            "WORKER_PORT": "0",
            "OUTGOING_ALLOW": ",".join(LOOPBACK),
            "SECRETS_KEYS": SECRETS_KEY,
        }
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when it works."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "segment_copilot", "worker", env=self._environment, stderr=asyncio.subprocess.PIPE
        )
        started = asyncio.Event()
        self._reading = asyncio.create_task(self._read(self._process.stderr, started))
        async with asyncio.timeout(60):
            await started.wait()

    async def _read(self, lines: asyncio.StreamReader | None, started: asyncio.Event) -> None:
        assert lines is not None
        async for line in lines:
            if b"worker.started" in line:
                started.set()
            if b'"level":"error"' in line:
                sys.stderr.write(line.decode())

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        assert self._reading is not None
        self._process.send_signal(number)
        await self._reading
        return await self._process.wait()


@asynccontextmanager
async def running_worker(database_url: str, clickhouse_url: str) -> AsyncGenerator[Worker]:
    worker = Worker(database_url, clickhouse_url)
    await worker.start()
    try:
        yield worker
    finally:
        code = await worker.end(signal.SIGTERM)
    assert code == 0


async def until(postgres: Postgres, sql: str) -> None:
    async with asyncio.timeout(60):
        while not await postgres.fetchval(sql):  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.05)
