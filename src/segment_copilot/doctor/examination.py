"""Runs the examination: the settings, then each store by itself, then what is in both, then what is beyond them."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from segment_copilot.doctor.clickhouse import examine_clickhouse
from segment_copilot.doctor.clickhouse import explain as explain_clickhouse
from segment_copilot.doctor.cluster import examine_cluster
from segment_copilot.doctor.configuration import judge, read
from segment_copilot.doctor.findings import Check, Report, ok, unknown, warning, wrong
from segment_copilot.doctor.outside import examine_outside
from segment_copilot.doctor.postgres import examine_postgres
from segment_copilot.doctor.queues import examine_queues
from segment_copilot.doctor.reaching import dial, judge_clock, time_clock
from segment_copilot.doctor.reader import examine_reader
from segment_copilot.doctor.tenants import examine_secrets, examine_tenants
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse import ClickHouse, open_clickhouse
from segment_copilot.stores.confinement import every_tenant
from segment_copilot.stores.migrations import lacking, status, tables
from segment_copilot.stores.postgres import Postgres, open_postgres

T = TypeVar("T")

SECONDS: Final = 20.0
"""What one part of the examination may take."""

_POOL: Final = 2


async def examine(environ: Mapping[str, str]) -> Report:
    """Examine the deployment whose settings are in *environ*, from this machine."""
    settings, checks = read(environ)
    if not checks:
        checks = judge(settings, environ, in_container=_in_container(environ))
    async with AsyncExitStack() as stack:
        stack.enter_context(every_tenant())
        (postgres, found), (clickhouse, others) = await asyncio.gather(
            _reach_postgres(settings, stack), _reach_clickhouse(settings, stack)
        )
        checks += found
        if postgres is not None:
            checks += await _part("postgres", lambda: examine_postgres(postgres, settings, tables=tables("postgres")))
        checks += others
        if clickhouse is not None:
            checks += await _part("clickhouse", lambda: examine_clickhouse(clickhouse, settings))
            if postgres is not None:
                checks += await _part("clickhouse.cluster", lambda: examine_cluster(settings, postgres, pool=_POOL))
        if settings.clickhouse_url:
            checks += await _part("clickhouse.reader", lambda: examine_reader(settings, pool=_POOL))
        if postgres is not None:
            checks += await _part("migrations", lambda: _migrations(postgres, clickhouse))
            checks += await _part("queues", lambda: examine_queues(postgres))
            checks += await _part("tenants", lambda: examine_tenants(postgres))
            checks += await _part("secrets", lambda: examine_secrets(postgres, settings.secrets_keys))
    checks += await _part("outside", lambda: examine_outside(settings))
    return Report.of(checks, version=importlib.metadata.version("segment-copilot"))


def _in_container(environ: Mapping[str, str]) -> bool:
    return "KUBERNETES_SERVICE_HOST" in environ or Path("/.dockerenv").exists() or os.path.exists("/run/.containerenv")  # noqa: PTH110


async def _part(name: str, look: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    """Return what *look* finds; that it cannot look is found too, and hides no other part."""
    try:
        async with asyncio.timeout(SECONDS):
            return await look()
    except TimeoutError:
        return [
            wrong(
                name, f"It was not to be seen within {SECONDS:g} s.", "Look whether the store is overloaded or frozen."
            )
        ]
    except SegmentCopilotError as error:
        return [unknown(name, error.detail, "Mend what stands above, and look again.")]
    except Exception as error:  # noqa: BLE001  # a doctor that falls over helps nobody
        detail = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
        return [unknown(name, f"It could not be looked at. {detail}", "Mend what stands above, and look again.")]


async def _reach_postgres(settings: Settings, stack: AsyncExitStack) -> tuple[Postgres | None, list[Check]]:
    if not settings.database_url:
        return None, []
    dialled = await dial("postgres", settings.database_url, port=5432)
    if dialled is not None and dialled.verdict != "ok":
        return None, [dialled]
    checks = [dialled] if dialled else []
    try:
        postgres = await stack.enter_async_context(open_postgres(settings.database_url, pool=_POOL))
        skew = await time_clock(lambda: _time_of_postgres(postgres))
    except SegmentCopilotError as error:
        sentence, _, remedy = error.detail.partition(". ")
        said = f" It says: {str(error.__cause__).splitlines()[0]}." if str(error.__cause__ or "") else ""
        return None, [
            *checks,
            wrong(
                "postgres.login",
                f"{sentence.rstrip('.')}.{said}",
                remedy or "Look into the server's log, and correct DATABASE_URL.",
            ),
        ]
    return postgres, [*checks, ok("postgres.login", "The user may log in."), judge_clock("postgres", skew)]


async def _time_of_postgres(postgres: Postgres) -> datetime:
    return await postgres.fetchval("SELECT clock_timestamp()")


async def _reach_clickhouse(settings: Settings, stack: AsyncExitStack) -> tuple[ClickHouse | None, list[Check]]:
    if not settings.clickhouse_url:
        return None, []
    port = 9440 if settings.clickhouse_url.startswith("clickhouses") else 9000
    dialled = await dial("clickhouse", settings.clickhouse_url, port=port)
    if dialled is not None and dialled.verdict != "ok":
        return None, [dialled]
    checks = [dialled] if dialled else []
    try:
        clickhouse = await stack.enter_async_context(open_clickhouse(settings.clickhouse_url, pool=_POOL))
        await clickhouse.ping()
        skew = await time_clock(lambda: _time_of_clickhouse(clickhouse))
    except Exception as error:  # noqa: BLE001  # another server may answer anything
        sentence, remedy = explain_clickhouse(error)
        return None, [*checks, wrong("clickhouse.login", sentence, remedy)]
    return clickhouse, [*checks, ok("clickhouse.login", "The user may log in."), judge_clock("clickhouse", skew)]


async def _time_of_clickhouse(clickhouse: ClickHouse) -> datetime:
    return (await clickhouse.fetch("SELECT now64(6, 'UTC')", purpose="catalog")).rows[0][0]


async def _migrations(postgres: Postgres, clickhouse: ClickHouse | None) -> list[Check]:
    standings, checks = await status(postgres), list[Check]()
    by_state = {
        state: [one.name for one in standings if one.state == state] for state in ("pending", "changed", "newer")
    }
    if pending := by_state["pending"]:
        detail = f"{len(pending)} of {len(standings)} migrations are not applied, the first is {pending[0]}."
        checks.append(
            wrong("migrations", detail, "Run `segment-copilot migrate`; no API or worker of this version works before.")
        )
    if changed := by_state["changed"]:
        remedy = "Run the files of the released version; a change of the schema is a new file."
        checks.append(wrong("migrations", f"{changed[0]} is not what was applied.", remedy))
    if newer := by_state["newer"]:
        remedy = "That is well while an upgrade is under way, or after going back: bring this machine to that version."
        checks.append(warning("migrations", f"A newer version has applied {newer[-1]}.", remedy))
    if clickhouse is not None and not pending and (gone := await lacking(postgres, clickhouse)):
        remedy = "Restore it from a backup (docs/operations/backup.md): a migration that was applied is not run again."
        checks.append(wrong("migrations", f"A table is gone: {gone[0]}.", remedy))
    return checks or [ok("migrations", f"All {len(standings)} are applied.")]
