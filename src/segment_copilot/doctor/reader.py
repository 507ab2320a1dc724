"""Examines the user of ClickHouse that only reads (CLICKHOUSE_READ_URL): it can answer what people ask, and do no more."""

from __future__ import annotations

from typing import Final

from segment_copilot.doctor.findings import Check, ok, unknown, warning, wrong
from segment_copilot.doctor.reaching import dial
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse import ClickHouse, open_clickhouse
from segment_copilot.stores.limits import LIMITS, Purpose
from segment_copilot.stores.literals import identifier
from segment_copilot.stores.refusals import ClickHouseError

_WRITES: Final = ("INSERT", "ALTER", "CREATE TABLE", "DROP TABLE", "TRUNCATE")
_OUTSIDE: Final = ("URL", "FILE", "REMOTE", "S3", "POSTGRES", "MYSQL")
_ASKED: Final[tuple[Purpose, ...]] = ("preview", "copilot", "catalog", "members", "history")
_CHANGES_SETTINGS: Final = 2  # `readonly`: 0 may write, 1 may not even say what a query may cost
_READS_ONLY: Final = 164  # the server's code for what `readonly` refuses
_TOO_MUCH: Final = 452  # … and for a value that a constraint refuses
_NAME: Final = "clickhouse.reader"
_PAGE: Final = "docs/operations/security.md has its statements"


async def examine_reader(settings: Settings, *, pool: int) -> list[Check]:
    """Return what is to say of the user that only reads."""
    url = settings.clickhouse_read_url
    if not url:
        detail = "CLICKHOUSE_READ_URL is not set: what people ask is asked by the user that writes."
        return [unknown(_NAME, detail, f"Make a user that only reads ({_PAGE}).")]
    dialled = await dial(_NAME, url, port=9440 if url.startswith("clickhouses") else 9000)
    if dialled is not None and dialled.verdict != "ok":
        return [dialled]
    async with open_clickhouse(url, pool=pool) as reading:
        try:
            refused = [check for purpose in _ASKED if (check := await _asked(reading, purpose)) is not None]
        except SegmentCopilotError as error:
            sentence, _, remedy = error.detail.partition(". ")
            return [wrong(_NAME, f"{sentence.rstrip('.')}.", remedy or "Correct CLICKHOUSE_READ_URL.")]
        return refused[:1] or await _rights(reading)


async def _asked(reading: ClickHouse, purpose: Purpose) -> Check | None:
    """Return what keeps a query of *purpose* from being asked at all: it comes with what it may cost."""
    try:
        await reading.fetch("SELECT 1", purpose=purpose)
    except ClickHouseError as error:
        limits = LIMITS[purpose]
        if error.code == _READS_ONLY:
            return wrong(_NAME, "The user may not say what a query may cost.", "Let its profile have readonly = 2.")
        if error.code == _TOO_MUCH:
            allowed = f"{limits.seconds} s, {limits.gibibytes:g} GiB, {limits.rows_read:,} rows read"
            detail = f"A constraint of its profile refuses what is asked for a {purpose}."
            return wrong(_NAME, detail, f"Let constraints allow {allowed} ({_PAGE}).")
        return wrong(_NAME, f"What is asked for a {purpose} is refused: {error}", "Look into the server's log.")
    return None


async def _rights(reading: ClickHouse) -> list[Check]:
    database, user = identifier(reading.database), await _told(reading, "SELECT currentUser()")
    checks = list[Check]()
    if not await _may(reading, "SELECT", f"{database}.*"):
        remedy = f"GRANT SHOW, SELECT ON {database}.* TO {identifier(user)};"
        return [wrong(_NAME, f"The user {user} may not read {database}.", remedy)]
    if await _told(reading, f"EXISTS TABLE {database}.users") != "1":
        remedy = "Name the database of CLICKHOUSE_URL in CLICKHOUSE_READ_URL; if it is the same, migrate."
        checks.append(wrong(_NAME, f"{database} has no table of this service.", remedy))
    readonly = await _told(reading, "SELECT toString(getSetting('readonly'))")
    if readonly != str(_CHANGES_SETTINGS):
        if writes := [right for right in _WRITES if await _may(reading, right, f"{database}.*")]:
            remedy = f"REVOKE ALL ON *.* FROM {identifier(user)}; then grant SHOW and SELECT alone ({_PAGE})."
            checks.append(warning(_NAME, f"The user {user} may write ({', '.join(writes)}).", remedy))
        remedy = f"Let its profile have readonly = 2 CONST ({_PAGE})."
        checks.append(warning(_NAME, f"The user {user} may raise its own limits: readonly is {readonly}.", remedy))
    if outside := [right for right in _OUTSIDE if await _may(reading, right, "*.*")]:
        detail = f"The user {user} may read from outside the database ({', '.join(outside)})."
        checks.append(warning(_NAME, detail, f"REVOKE {', '.join(outside)} ON *.* FROM {identifier(user)};"))
    return checks or [ok(_NAME, f"The user {user} reads, and may do no more.")]


async def _told(reading: ClickHouse, sql: str) -> str:
    return str((await reading.fetch(sql, purpose="catalog")).rows[0][0])


async def _may(reading: ClickHouse, right: str, where: str) -> bool:
    return (await _told(reading, f"CHECK GRANT {right} ON {where}")) == "1"
