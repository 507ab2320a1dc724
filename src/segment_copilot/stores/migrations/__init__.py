"""Forward-only migrations of both stores: numbered SQL files, each applied once.

`postgres/0001_initial.sql` runs in one transaction. The statements of a ClickHouse file run one after another and
cannot be undone together, so each must be safe to run again (`IF NOT EXISTS`): a file that failed half-way is run
from its start. In ClickHouse files `{on_cluster}` becomes `ON CLUSTER name` where tables are replicated, else nothing, and
`{engine}` `Replicated` or nothing. What was applied is written down in PostgreSQL, for both stores, with the file's SHA-256:
a file that has been released never changes.

On a cluster each statement runs on every shard, but those with `{on_cluster}` once where tables are replicated. A shard that
has not all tables, because it is new, gets all files.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

import structlog
from msgspec import Struct

from segment_copilot.errors import Conflict
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.cluster import Cluster, place_users
from segment_copilot.stores.literals import identifier
from segment_copilot.stores.merging import ROWS
from segment_copilot.stores.postgres import Connection, Postgres

log = structlog.get_logger()

_LOCK = 0x5E6C0B17  # of the advisory lock, one for all our migrations in a database
_STATEMENT_SECONDS = 3600.0  # an index on a large table takes its time, and so may the wait for another process
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
_TABLES = re.compile(r"\b(CREATE|DROP) TABLE (?:IF (?:NOT )?EXISTS )?(\w+)")

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    store text NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, name)
)
"""
_ON_CLUSTER = "{on_cluster}"
_THERE = "SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()"
_APPLIED = "INSERT INTO schema_migrations (store, name, sha256) VALUES ($1, $2, $3)"

# A statement ends at a semicolon outside of strings, quoted names and comments; the comments go.
_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<end>;)|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|.""",
    re.DOTALL,
)


class Migration(Struct, frozen=True):
    """One file of SQL statements, for one store."""

    store: Literal["postgres", "clickhouse"]
    name: str
    text: str

    @property
    def digest(self) -> str:
        """The SHA-256 of the text."""
        return sha256(self.text.encode()).hexdigest()

    @property
    def full_name(self) -> str:
        """The store and the file, such as `postgres/0001_initial.sql`."""
        return f"{self.store}/{self.name}"


async def migrate(
    postgres: Postgres, clickhouse: ClickHouse, *, cluster: str = "", source: Traversable | None = None
) -> list[str]:
    """Apply what is new and return its names, such as `postgres/0001_initial.sql`; give a cluster's shards their users.

    *cluster* names the cluster whose tables are replicated. Safe to run twice, and by several processes at once: one applies, the others wait and find nothing to do. Raises
    Conflict when an applied file is not what it was, or nobody can tell which shard has whom. *source* holds the directories `postgres` and `clickhouse`;
    by default this package does.
    """
    migrations = list(_read(source or files(__name__)))
    async with _locked(postgres) as connection:
        await connection.execute(_TABLE)
        rows = await connection.fetch("SELECT store, name, sha256 FROM schema_migrations")
        pending = _pending(migrations, {(row["store"], row["name"]): row["sha256"] for row in rows})
        for migration in pending:
            if migration.store == "postgres":
                await _apply_to_postgres(migration, connection)
            else:
                await _apply_to_clickhouse(migration, connection, clickhouse=clickhouse, cluster=cluster)
            log.info("migrations.applied", store=migration.store, name=migration.name)
        if isinstance(clickhouse, Cluster):
            await _complete(migrations, clickhouse, cluster=cluster)
            await place_users(connection, clickhouse)
    return [migration.full_name for migration in pending]


class Standing(Struct, frozen=True, omit_defaults=True):
    """Tells where one migration stands. *newer*: a later version applied it, which is in nobody's way."""

    name: str
    """As `postgres/0001_initial.sql`."""
    state: Literal["applied", "pending", "changed", "newer"]
    applied_at: datetime | None = None


async def status(postgres: Postgres, *, source: Traversable | None = None) -> list[Standing]:
    """Return where every migration stands: those of this version in their order, then those that only the stores know.

    It takes no lock and writes nothing; a database that was never migrated has all of them pending.
    """
    applied = await _applied(postgres)
    standings = list[Standing]()
    for migration in _read(source or files(__name__)):
        sha, at = applied.pop((migration.store, migration.name), ("", None))
        state = "pending" if at is None else "applied" if sha == migration.digest else "changed"
        standings.append(Standing(migration.full_name, state, at))
    return standings + [Standing(f"{store}/{name}", "newer", at) for (store, name), (_, at) in sorted(applied.items())]


async def planned(postgres: Postgres, *, cluster: str = "", source: Traversable | None = None) -> dict[str, list[str]]:
    """Return what `migrate` would run now: the statements of each pending migration, by its name.

    Raises Conflict as `migrate` does; nothing is locked or written.
    """
    migrations = list(_read(source or files(__name__)))
    applied = {key: sha for key, (sha, _) in (await _applied(postgres)).items()}
    return {
        one.full_name: statements(one.text if one.store == "postgres" else _filled(one.text, cluster=cluster))
        for one in _pending(migrations, applied)
    }


async def _applied(postgres: Postgres) -> dict[tuple[str, str], tuple[str, datetime | None]]:
    """Return digest and instant of every migration that the stores have."""
    if not await postgres.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        return {}
    rows = await postgres.fetch("SELECT store, name, sha256, applied_at FROM schema_migrations")
    return {(row["store"], row["name"]): (row["sha256"], row["applied_at"]) for row in rows}


async def lacking(postgres: Postgres, clickhouse: ClickHouse, *, source: Traversable | None = None) -> list[str]:
    """Returns what this version needs and the stores do not have, such as `clickhouse/0001_initial.sql`.

    Migrations that were not applied; where all were, tables that are gone, such as `clickhouse: events`. What a newer
    version has applied is in nobody's way.
    """
    migrations = list(_read(source or files(__name__)))
    names = ["schema_migrations", *_tables(migrations, "postgres")]
    gone = await postgres.fetch("SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL", names)
    absent = {row["name"] for row in gone}
    applied = set[tuple[str, str]]()
    if "schema_migrations" not in absent:
        rows = await postgres.fetch("SELECT store, name FROM schema_migrations")
        applied = {(row["store"], row["name"]) for row in rows}
    if pending := [one.full_name for one in migrations if (one.store, one.name) not in applied]:
        return pending
    found = await clickhouse.fetch(_THERE, purpose="catalog", merge=ROWS)
    there = set[str].intersection(*(set(names) for (names,) in found.rows))
    return [f"postgres: {name}" for name in names if name in absent] + [
        f"clickhouse: {name}" for name in _tables(migrations, "clickhouse") if name not in there
    ]


def tables(store: Literal["postgres", "clickhouse"]) -> list[str]:
    """Return the tables that this version works on in *store*."""
    return _tables(list(_read(files(__name__))), store)


def _tables(migrations: list[Migration], store: str) -> list[str]:
    """Returns the tables that stand when every migration of *store* has run."""
    names: dict[str, None] = {}
    for migration in migrations:
        if migration.store != store:
            continue
        for verb, name in _TABLES.findall(" ; ".join(statements(migration.text))):
            if verb == "CREATE":
                names[name] = None
            else:
                names.pop(name, None)
    return list(names)


def _read(source: Traversable) -> Iterator[Migration]:
    for store in ("postgres", "clickhouse"):
        for file in sorted(source.joinpath(store).iterdir(), key=lambda file: file.name):
            if _NAME.fullmatch(file.name):
                yield Migration(store, file.name, file.read_text(encoding="utf-8"))


@asynccontextmanager
async def _locked(postgres: Postgres) -> AsyncGenerator[Connection]:
    """Lend a connection that holds the lock; whatever ends the connection gives the lock back."""
    async with postgres.connection(seconds=_STATEMENT_SECONDS) as connection:
        await connection.execute("SET lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute("SET lock_timeout = '10s'")
        yield connection


def _pending(migrations: list[Migration], applied: Mapping[tuple[str, str], str]) -> list[Migration]:
    for migration in migrations:
        if applied.get((migration.store, migration.name), migration.digest) != migration.digest:
            raise Conflict(
                f"The migration {migration.full_name} was changed after it was applied. "
                "Put it back and write the change as a new file.",
                code="migration_changed",
            )
    return [migration for migration in migrations if (migration.store, migration.name) not in applied]


async def _apply_to_postgres(migration: Migration, connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute(migration.text)
        await connection.execute(_APPLIED, migration.store, migration.name, migration.digest)


async def _apply_to_clickhouse(
    migration: Migration, connection: Connection, *, clickhouse: ClickHouse, cluster: str
) -> None:
    for statement in statements(migration.text):
        await clickhouse.define(_filled(statement, cluster=cluster), once=bool(cluster) and _ON_CLUSTER in statement)
    await connection.execute(_APPLIED, migration.store, migration.name, migration.digest)


async def _complete(migrations: Sequence[Migration], clickhouse: Cluster, *, cluster: str) -> None:
    """Run all files for the shards that have not all tables."""
    names = set(_tables(list(migrations), "clickhouse"))
    for shard in await clickhouse.all_shards():
        ((there,),) = (await shard.server.fetch(_THERE, purpose="catalog")).rows
        if names <= set(there):
            continue
        for migration in migrations:
            for statement in statements(migration.text) if migration.store == "clickhouse" else ():
                filled = _filled(statement, cluster=cluster)
                if cluster and _ON_CLUSTER in statement:
                    await clickhouse.define(filled, once=True)
                else:
                    await shard.server.execute(filled, purpose="migrate")
        log.info("migrations.shard_completed", shard=shard.number)


def _filled(text: str, *, cluster: str) -> str:
    text = text.replace(_ON_CLUSTER, f"ON CLUSTER {identifier(cluster)}" if cluster else "")
    return text.replace("{engine}", "Replicated" if cluster else "")


def statements(text: str) -> list[str]:
    """Return the statements of a file, without comments and empty ones."""
    parts = [""]
    for token in _TOKEN.finditer(text):
        if token["end"]:
            parts.append("")
        else:
            parts[-1] += " " if token["comment"] else token[0]
    return [part.strip() for part in parts if part.strip()]
