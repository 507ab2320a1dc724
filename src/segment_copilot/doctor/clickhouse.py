"""Examines ClickHouse: its version, what its user may do and should not, its disks, parts and mutations, its cluster."""

from __future__ import annotations

from typing import Final

from segment_copilot.doctor.findings import Check, ok, unknown, warning, wrong
from segment_copilot.doctor.space import judge_space
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.literals import identifier
from segment_copilot.stores.refusals import ClickHouseError

TESTED: Final = (26, 9)
_OLDEST: Final = (25, 3)  # the type JSON is no experiment since

NEEDED: Final = ("SELECT", "INSERT", "ALTER DELETE", "CREATE TABLE", "DROP TABLE", "ALTER TABLE")
NEEDED_EVERYWHERE: Final = ("CREATE TEMPORARY TABLE",)
_OUTSIDE: Final = ("URL", "FILE", "REMOTE", "S3", "POSTGRES", "MYSQL")
_MANY_PARTS, _TOO_MANY_PARTS = 300, 1_000  # active ones of a partition; from 1,000 on the server slows inserts down

_PARTS: Final = """
SELECT table, partition, count() AS parts FROM system.parts WHERE database = currentDatabase() AND active
GROUP BY table, partition ORDER BY parts DESC LIMIT 1
"""
_MUTATIONS: Final = """
SELECT table, any(latest_fail_reason) FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done AND latest_fail_reason != '' GROUP BY table ORDER BY table
"""
_DISKS: Final = "SELECT name, free_space, total_space FROM system.disks WHERE type = 'Local' ORDER BY name"


async def examine_clickhouse(clickhouse: ClickHouse, settings: Settings) -> list[Check]:
    """Return what is to say of ClickHouse."""
    (version,) = await _row(clickhouse, "SELECT version()")
    return [
        judge_version(version),
        *await _rights(clickhouse),
        *await _disks(clickhouse),
        *await _parts(clickhouse),
        *await _mutations(clickhouse),
        *await _cluster(clickhouse, settings.clickhouse_cluster),
    ]


def judge_version(version: str) -> Check:
    """Judge the server's version by what is tested."""
    tested, number = ".".join(map(str, TESTED)), tuple(int(part) for part in version.split(".")[:2])
    if number < _OLDEST:
        return wrong(
            "clickhouse.version",
            f"ClickHouse {version} lacks what this service needs.",
            f"Move to ClickHouse {tested}.",
        )
    if number < TESTED:
        remedy = f"Move to ClickHouse {tested}, which this version is tested with."
        return warning("clickhouse.version", f"ClickHouse {version} is older than what is tested.", remedy)
    return ok("clickhouse.version", f"ClickHouse {version}.")


async def _row(clickhouse: ClickHouse, sql: str) -> tuple[str, ...]:
    return (await clickhouse.fetch(sql, purpose="catalog")).rows[0]


async def _may(clickhouse: ClickHouse, right: str, where: str) -> bool:
    return bool(int((await _row(clickhouse, f"CHECK GRANT {right} ON {where}"))[0]))


async def _rights(clickhouse: ClickHouse) -> list[Check]:
    database, checks = identifier(clickhouse.database), list[Check]()
    (user,) = await _row(clickhouse, "SELECT currentUser()")
    needed = [(right, f"{database}.*") for right in NEEDED] + [(right, "*.*") for right in NEEDED_EVERYWHERE]
    for right, where in needed:
        if not await _may(clickhouse, right, where):
            remedy = f"GRANT {right} ON {where} TO {identifier(user)};"
            checks.append(wrong("clickhouse.rights", f"The user {user} lacks {right} on {where}.", remedy))
    outside = [right for right in _OUTSIDE if await _may(clickhouse, right, "*.*")]
    if outside:
        detail = (
            f"The user {user} may read from outside the database ({', '.join(outside)}), which this service never does."
        )
        remedy = f"REVOKE {', '.join(outside)} ON *.* FROM {identifier(user)};"
        checks.append(warning("clickhouse.rights", detail, remedy))
    return checks or [ok("clickhouse.rights", f"The user {user} may do what is needed, and no more.")]


async def _disks(clickhouse: ClickHouse) -> list[Check]:
    rows = (await clickhouse.fetch(_DISKS, purpose="catalog")).rows
    return [judge_space("clickhouse.disk", f"Disk {name}:", free=free, total=total) for name, free, total in rows] or [
        unknown("clickhouse.disk", "The server has no disk of its own.")
    ]


async def _parts(clickhouse: ClickHouse) -> list[Check]:
    rows = (await clickhouse.fetch(_PARTS, purpose="catalog")).rows
    return [judge_parts(table, partition, parts) for table, partition, parts in rows]


def judge_parts(table: str, partition: str, parts: int) -> Check:
    """Judge the partition that has the most parts: more come than the server merges."""
    detail = f"{table} has {parts} parts in {partition}." if parts > 1 else "No table has more than a part a partition."
    remedy = (
        "Look at system.merges and at the disk: merging does not keep up. Backfill by whole months, in larger files."
    )
    if parts >= _TOO_MANY_PARTS:
        return wrong("clickhouse.parts", f"{detail} From 1,000 on inserts are slowed down, and refused later.", remedy)
    return warning("clickhouse.parts", detail, remedy) if parts >= _MANY_PARTS else ok("clickhouse.parts", detail)


async def _mutations(clickhouse: ClickHouse) -> list[Check]:
    rows = (await clickhouse.fetch(_MUTATIONS, purpose="catalog")).rows
    remedy = "Mend what the reason says; KILL MUTATION ends one that never will. Erasures wait for them."
    return [
        wrong("clickhouse.mutations", f"A mutation of {table} fails: {str(reason)[:200]}", remedy)
        for table, reason in rows
    ]


async def _cluster(clickhouse: ClickHouse, cluster: str) -> list[Check]:
    if not cluster:
        return []
    rows = (await clickhouse.fetch("SELECT DISTINCT cluster FROM system.clusters", purpose="catalog")).rows
    names = sorted(name for (name,) in rows)
    if cluster not in names:
        detail = f"CLICKHOUSE_CLUSTER is {cluster}, and the server knows {', '.join(names) or 'no cluster'}."
        return [wrong("clickhouse.cluster", detail, "Name one of its remote_servers, or leave the setting empty.")]
    return [ok("clickhouse.cluster", f"The server knows the cluster {cluster}.")]


def explain(error: Exception) -> tuple[str, str]:
    """Return a sentence and a remedy for a server that was reached and does not answer as it should."""
    if isinstance(error, SegmentCopilotError):
        sentence, _, remedy = error.detail.partition(". ")
        return (
            f"{sentence.rstrip('.')}.",
            remedy or "Look into the server's log, and whether the port speaks the native protocol.",
        )
    if isinstance(error, ClickHouseError) and error.code == _UNKNOWN_SETTING:
        return "The server does not know a setting of our queries.", f"Move to ClickHouse {'.'.join(map(str, TESTED))}."
    return (
        "The server speaks another protocol.",
        "Name the port of the native protocol: 9000, or 9440 with clickhouses://.",
    )


_UNKNOWN_SETTING: Final = 115
