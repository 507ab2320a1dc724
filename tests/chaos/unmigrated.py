"""A worker that is started before `migrate`: it says what is missing, waits, and works as soon as it can."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx2

from segment_copilot.embedded import Engines
from tests.chaos.judging import PATIENCE_SECONDS, RECOVERY_SECONDS, Recovery, judge, recover, time_until
from tests.chaos.load import SEGMENTS, Load
from tests.chaos.report import Row
from tests.chaos.service import Service, Stores, answers, run_service
from tests.support.databases import run_clickhouse, run_postgres, with_database

UNMIGRATED = "unmigrated"
_NAME = "segment_copilot_unmigrated"
_SECONDS = 10.0


async def try_unmigrated(engines: Engines, directory: Path) -> Row:
    """Start a worker on empty databases, migrate them later, then start the API and its clients."""
    await run_postgres(engines.database_url, f"CREATE DATABASE {_NAME}")
    await run_clickhouse(engines.clickhouse_url, f"CREATE DATABASE {_NAME}")
    stores = Stores(with_database(engines.database_url, _NAME), with_database(engines.clickhouse_url, _NAME))
    async with run_service(engines, directory, stores) as service:
        service.worker.log = directory / "unmigrated-worker.log"
        service.start(service.worker)
        wrong = await told(service)
        await asyncio.sleep(_SECONDS)
        await service.command("migrate")
        migrated = time.monotonic()
        async with httpx2.AsyncClient(timeout=5) as client:
            ready = await time_until(lambda: answers(client, service.worker, "ready"), since=migrated)
        await service.make_tenant("late")
        await service.restart(service.api)
        segments: dict[str, int] = {}
        headers = {"Authorization": f"ApiKey {service.key}"}
        async with httpx2.AsyncClient(base_url=service.api.url, headers=headers, timeout=30) as client:
            for name, definition in SEGMENTS.items():
                answer = await client.post("/api/segments/", json={"name": name, "definition": definition})
                segments[name] = answer.raise_for_status().json()["id"]
        load = Load(service.api.url, service.key, run=UNMIGRATED, segments=segments, may_hang_up=False)
        async with load.running():
            await asyncio.sleep(3)
            after = await recover(service)
        recovery = Recovery(max(ready, after.ready), after.forwarded, after.computed)
        wrong += load.broken
        wrong += await judge(service, load, run=UNMIGRATED, segments=segments, refused=0)
        wrong += [f"worker logged {line[:400]}" for line in service.worker.errors()]
        wrong += await service.stop_all()
    if recovery.seconds > RECOVERY_SECONDS:
        wrong.append(f"recovered after {recovery.seconds:.1f} s")
    return Row(UNMIGRATED, "a worker started before `migrate`", _SECONDS, load, Counter(), 0.0, 0, recovery, wrong)


async def told(service: Service) -> list[str]:
    """Return what is wrong with how the worker says that it cannot work yet: on its port, and in its log."""
    async with httpx2.AsyncClient(timeout=5) as client:

        async def on_its_port() -> bool:
            try:
                answer = await client.get(f"{service.worker.url}/health/ready")
            except httpx2.TransportError:
                return False
            return answer.json().get("code") == "not_migrated"

        async def in_its_log() -> bool:
            return service.worker.log.read_bytes().count(b"run `segment-copilot migrate`") == 1

        wrong = list[str]()
        for where, says_so in {"on its port": on_its_port, "in its log, once": in_its_log}.items():
            if await time_until(says_so, since=time.monotonic()) >= PATIENCE_SECONDS:
                wrong.append(f"the worker does not say {where} what is missing and what to type")
        return wrong
