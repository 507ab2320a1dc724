"""Grants a role of PostgreSQL what the service needs, and confines it to the rows of one tenant at a time.

`migrate` does it, as the owner, when a role is named, each time anew: tables that a migration has brought are then
granted and confined too. The owner is never confined, nor are processes that work as the owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segment_copilot.errors import InvalidInput
from segment_copilot.stores.confinement import EVERY, SETTING
from segment_copilot.stores.postgres import Postgres

SHARED: Final = frozenset({"blocks", "schema_migrations", "shard_placement", "shared_secrets"})
"""Tables that are no tenant's: every process reads them, and no row of theirs says anything of one."""

PARENTS: Final = {
    "export_chunks": ("export_id", "exports"),
    "segment_references": ("segment_id", "segments"),
    "segment_versions": ("segment_id", "segments"),
    "webhook_attempts": ("delivery_id", "webhook_deliveries"),
    "webhook_lanes": ("webhook_id", "webhooks"),
}
"""Table without a tenant's id → the column that refers to a row which has one, and that row's table."""

_POLICY: Final = "of_its_tenant"
_TOLD: Final = f"current_setting('{SETTING}', true)"
_TABLES: Final = """
SELECT relname AS name, EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id' AND NOT attisdropped) AS has_tenant,
    (SELECT obj_description(pg_policy.oid, 'pg_policy') FROM pg_policy WHERE polrelid = pg_class.oid AND relrowsecurity) AS holds
FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname = ANY ($1) ORDER BY relname
"""
_ROLE: Final = """
SELECT rolsuper OR rolbypassrls OR pg_has_role(rolname, (
    SELECT relowner FROM pg_class WHERE oid = to_regclass('tenants')), 'MEMBER') AS sees_all
FROM pg_roles WHERE rolname = $1
"""
_MAINTAIN_SINCE: Final = 170_000  # the right to VACUUM what is another's, which an erasure asks for


def condition_of(table: str, *, has_tenant: bool) -> str | None:
    """Return the SQL of the rows that may be seen; None where all may, because the table is no tenant's.

    Raises:
        LookupError: Nobody has said whose the rows are.
    """
    if table in SHARED:
        return None
    if table == "tenants" or has_tenant:
        return f"{_TOLD} IN ({'id' if table == 'tenants' else 'tenant_id'}::text, '{EVERY}')"
    column, parent = PARENTS[table]
    return f"{_TOLD} = '{EVERY}' OR EXISTS (SELECT FROM {parent} WHERE {parent}.id = {table}.{column})"


async def confine_role(postgres: Postgres, role: str, *, tables: Sequence[str]) -> None:
    """Let *role* work on *tables*, of each tenant by itself; a second time changes nothing.

    Raises:
        InvalidInput: There is no such role, or it would see everything all the same.
    """
    if (found := await postgres.fetchrow(_ROLE, role)) is None:
        raise InvalidInput(
            f"PostgreSQL has no role {role}. Make it (CREATE ROLE {quoted_name(role)} LOGIN PASSWORD …), or correct POSTGRES_ROLE.",
            code="unknown_role",
        )
    if found["sees_all"]:
        raise InvalidInput(
            f"The role {role} is a superuser, has BYPASSRLS or is the tables' owner, whom nothing confines. Name another in POSTGRES_ROLE.",
            code="unconfined_role",
        )
    name = quoted_name(role)
    version = int(await postgres.fetchval("SELECT current_setting('server_version_num')"))
    schema = quoted_name(await postgres.fetchval("SELECT current_schema()"))
    rights = f"SELECT, INSERT, UPDATE, DELETE{', MAINTAIN' if version >= _MAINTAIN_SINCE else ''}"
    await postgres.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
    await postgres.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {name}")
    for row in await postgres.fetch(_TABLES, [*tables, "schema_migrations"]):
        table = row["name"]
        granted = "SELECT" if table == "schema_migrations" else rights
        condition = condition_of(table, has_tenant=row["has_tenant"])
        async with postgres.transaction() as transaction:
            await transaction.execute(f"GRANT {granted} ON {table} TO {name}")
            if condition != row["holds"]:  # each needs the table for itself, for a moment
                await transaction.execute(f"DROP POLICY IF EXISTS {_POLICY} ON {table}")
                await transaction.execute(f"CREATE POLICY {_POLICY} ON {table} USING ({condition})")
                said = str(condition).replace("'", "''")
                await transaction.execute(f"COMMENT ON POLICY {_POLICY} ON {table} IS '{said}'")
                await transaction.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def quoted_name(name: str) -> str:
    """Return *name* as PostgreSQL reads it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
