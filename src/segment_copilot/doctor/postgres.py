"""Examines PostgreSQL: its version and settings, what its user may do, its connections, its disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from segment_copilot.doctor.configuration import is_here
from segment_copilot.doctor.findings import Check, in_bytes, ok, unknown, warning, wrong
from segment_copilot.doctor.space import judge_space
from segment_copilot.settings import Settings
from segment_copilot.stores.postgres import Postgres, Record
from segment_copilot.stores.roles import SHARED

TESTED: Final = 18
_OLDEST: Final = 13  # xid8 and gen_random_uuid() came with it
_BESIDES_POOL: Final = 2  # sessions of a process outside its pool: that it lives, what it listens to

_SERVER: Final = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
    current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_standby,
    current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections,
    (SELECT sum(numbackends) FROM pg_stat_database)::int AS used,
    pg_database_size(current_database()) AS size
"""
_ROLE: Final = """
SELECT rolname, rolsuper, rolconnlimit, rolcreaterole, has_schema_privilege(current_schema(), 'CREATE') AS may_create,
    pg_has_role('pg_read_all_settings', 'USAGE') AS may_see
FROM pg_roles WHERE rolname = current_user
"""
# Tables of our own alone: those that the migrations name.
_RIGHTS: Final = """
SELECT name, ARRAY(
    SELECT need FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS need
    WHERE NOT has_table_privilege(name, need)) AS lacks
FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL
"""
# Those of identity columns need no right of their own.
_SEQUENCES: Final = """
SELECT relname FROM pg_sequence INNER JOIN pg_class ON pg_class.oid = seqrelid
WHERE relnamespace = current_schema()::regnamespace AND NOT has_sequence_privilege(seqrelid, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = seqrelid AND deptype = 'i')
"""
# Tables whose rows the user sees whatever tenant it works for, of those that it would be kept from.
_OPEN: Final = """
SELECT count(*) FILTER (WHERE relrowsecurity) AS held, count(*) FILTER (WHERE NOT row_security_active(oid)) AS open,
    min(relname) FILTER (WHERE NOT row_security_active(oid)) AS first
FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname = ANY ($1::text[])
"""
_OWNED: Final = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    AND relname = ANY ($1::text[]) AND NOT pg_has_role(relowner, 'USAGE')
"""


async def examine_postgres(postgres: Postgres, settings: Settings, *, tables: list[str]) -> list[Check]:
    """Return what is to say of PostgreSQL; *tables* are those that this version works on."""
    server, role = await postgres.fetchrow(_SERVER), await postgres.fetchrow(_ROLE)
    assert server is not None  # noqa: S101  # an aggregate
    assert role is not None  # noqa: S101  # the user that we are
    return [
        judge_version(server["version"], server["major"]),
        *_durability(server),
        *await _rights(postgres, role, tables),
        *await _rows(postgres, role, [table for table in tables if table not in SHARED]),
        judge_connections(server["connections"], server["used"], settings.postgres_pool),
        await _disk(postgres, server, role, settings),
    ]


def judge_version(version: str, major: int) -> Check:
    """Judge the server's version by what is tested."""
    if major < _OLDEST:
        remedy = f"Move to PostgreSQL {TESTED}; docs/operations/upgrade.md says how."
        return wrong("postgres.version", f"PostgreSQL {version} lacks what this service needs.", remedy)
    if major < TESTED:
        remedy = f"Plan the move to PostgreSQL {TESTED}, which this version is tested with."
        return warning("postgres.version", f"PostgreSQL {version} is older than what is tested.", remedy)
    return ok("postgres.version", f"PostgreSQL {version}.")


def _durability(server: Record) -> list[Check]:
    """An event that was answered 202 is on disk: settings under which it is not."""
    checks = list[Check]()
    if server["is_standby"]:
        checks.append(
            wrong(
                "postgres.writes", "The server is a standby, and takes no writes.", "Name the primary in DATABASE_URL."
            )
        )
    if server["encoding"] != "UTF8":
        detail = f"The database is in {server['encoding']}, which cannot hold every text."
        checks.append(wrong("postgres.encoding", detail, "Create a database WITH ENCODING 'UTF8' and restore into it."))
    off = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if server[name] == "off"]
    if off:
        detail = f"{' and '.join(off)} {'are' if len(off) > 1 else 'is'} off: what was acknowledged may be lost with the power."
        checks.append(wrong("postgres.durability", detail, "Set it to on (ALTER SYSTEM SET …), and reload the server."))
    return checks or [ok("postgres.durability", "What was acknowledged is on disk.")]


async def _rights(postgres: Postgres, role: Record, tables: list[str]) -> list[Check]:
    name, checks = role["rolname"], list[Check]()
    there = await postgres.fetch(_RIGHTS, tables)
    for row in there:
        if row["lacks"]:
            lacks = ", ".join(row["lacks"])
            remedy = f'As the owner: GRANT {lacks} ON {row["name"]} TO "{name}";'
            checks.append(wrong("postgres.rights", f"The user {name} lacks {lacks} on {row['name']}.", remedy))
    for row in await postgres.fetch(_SEQUENCES):
        remedy = f'As the owner: GRANT USAGE ON SEQUENCE {row["relname"]} TO "{name}";'
        checks.append(wrong("postgres.rights", f"The user {name} may not take numbers of {row['relname']}.", remedy))
    if role["rolsuper"]:
        detail = f"The user {name} is a superuser, who may do more than this service ever needs."
        remedy = "Make a user that owns this database alone (CREATE ROLE … LOGIN), and name it in DATABASE_URL."
        checks.append(warning("postgres.rights", detail, remedy))
    owned = await postgres.fetch(_OWNED, tables)
    if not role["may_create"] or owned:
        what = "create tables here" if not role["may_create"] else f"change {owned[0]['relname']}, which is another's"
        detail = f"The user {name} may not {what}: it cannot migrate."
        checks.append(unknown("postgres.migrating", detail, "That is well if `migrate` runs as another user."))
    if not there and not checks:
        detail = f"There is no table yet; the user {name} may make them."
        return [unknown("postgres.rights", detail, "Run `segment-copilot migrate`, and look again.")]
    return checks or [ok("postgres.rights", f"The user {name} may do what is needed.")]


async def _rows(postgres: Postgres, role: Record, tables: list[str]) -> list[Check]:
    """Row-level security: whether the user is kept from the rows of other tenants than the one it works for."""
    row = await postgres.fetchrow(_OPEN, tables)
    assert row is not None  # noqa: S101  # an aggregate
    if not row["held"] and not row["open"]:
        return []  # not migrated: nothing is kept from anybody yet
    return [judge_rows(role["rolname"], held=row["held"], open_=row["open"], first=row["first"])]


def judge_rows(user: str, *, held: int, open_: int, first: str | None) -> Check:
    """Judge whether a user sees one tenant at a time: *held* tables keep their rows, *open_* ones do not from this user."""
    if not open_:
        return ok("postgres.rows", f"The user {user} sees the rows of one tenant at a time.")
    if not held:
        return unknown(
            "postgres.rows",
            f"The user {user} sees the rows of every tenant: that each statement names its tenant is the only wall.",
            "POSTGRES_ROLE makes PostgreSQL a second one; docs/operations/security.md says how.",
        )
    return warning(
        "postgres.rows",
        f"{open_} tables, {first} among them, keep no rows from the user {user}.",
        "Work as the role that POSTGRES_ROLE names, not as the owner; run `segment-copilot migrate` with it.",
    )


def judge_connections(connections: int, used: int, pool: int) -> Check:
    """Judge whether one more process finds the connections that its pool may take."""
    needed, free = pool + _BESIDES_POOL, connections - used
    said = f"{used} of {connections} connections are in use; a process takes up to {needed}."
    if needed > connections:
        remedy = "Lower POSTGRES_POOL, or raise max_connections."
        return wrong("postgres.connections", f"{said} That is more than there are.", remedy)
    if free < needed:
        remedy = "Lower POSTGRES_POOL, run fewer processes, or raise max_connections."
        return warning("postgres.connections", f"{said} One more process may find too few.", remedy)
    return ok("postgres.connections", said)


async def _disk(postgres: Postgres, server: Record, role: Record, settings: Settings) -> Check:
    """PostgreSQL tells nobody how full its disk is; where its files lie on this machine, they say so themselves."""
    size = f"The database takes {in_bytes(server['size'])}"
    if role["may_see"] and is_here(settings.database_url):
        directory = Path(await postgres.fetchval("SELECT current_setting('data_directory')"))
        try:
            usage = shutil.disk_usage(directory)
        except OSError:
            pass  # it runs on this machine, and its files are out of our sight
        else:
            return judge_space("postgres.disk", f"{size}.", free=usage.free, total=usage.total)
    return unknown(
        "postgres.disk", f"{size}; how full its disk is cannot be seen from here.", "Watch it on its machine."
    )
