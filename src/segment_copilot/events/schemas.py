"""USE CASE: declare what the events of a type look like, and tell whether one does: their event schema."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Conflict, Finding, InvalidInput, PreconditionFailed
from segment_copilot.events.declarations import Declarations, no_schema
from segment_copilot.events.shapes import SHOWN_SAMPLES, SchemaProperty, mistakes_in
from segment_copilot.events.validation import EventRejected, validate
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Connection, Postgres, Record
from segment_copilot.stores.postgres_errors import UniqueViolation

Order = Literal["event_type", "-event_type", "id", "-id", "created_at", "-created_at", "updated_at", "-updated_at"]


class EventSchema(Struct, frozen=True):
    """The declared shape of one event type of a tenant; that of `context_identified` declares its traits.

    *event_count* and *last_seen_at* are of what was forwarded so far.
    """

    id: Annotated[int, Meta(examples=[7])]
    event_type: Annotated[str, Meta(examples=["order_placed"])]
    description: Annotated[str, Meta(examples=["A purchase was paid"])]
    properties: tuple[SchemaProperty, ...]
    strict: bool
    event_count: Annotated[int, Meta(examples=[31_106])]
    last_seen_at: datetime | None
    violation_count: int
    created_at: datetime
    updated_at: datetime

    @property
    def revision(self) -> str:
        """Changes with every write by a caller; an event that comes in changes none."""
        return f"{self.id}-{self.updated_at:%Y%m%d%H%M%S%f}"


class SchemaChanges(Struct, frozen=True):
    """The fields of a schema that may change; absent fields stay."""

    event_type: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    properties: tuple[SchemaProperty, ...] | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Validity(Struct, frozen=True):
    """Tells whether an event with a payload would conform, and what keeps it from that.

    *schema_id* is null where nothing is declared of its type. *warnings* name what the schema does not declare; that is
    no mistake. Pointers are RFC 6901 into an event.
    """

    valid: bool
    schema_id: int | None
    strict: bool
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()


_SORTINGS: Final = {
    "event_type": Sorting("event_type", str, "text"),
    "id": BY_ID,
    "created_at": Sorting("created_at", datetime, "timestamptz"),
    "updated_at": Sorting("updated_at", datetime, "timestamptz"),
}
_OBSERVED: Final = """
FROM observed_names AS names
WHERE names.tenant_id = event_schemas.tenant_id AND names.event_type = event_schemas.event_type AND path = ''
"""
_COLUMNS: Final = f"""
id, event_type, description, properties, strict, created_at, updated_at,
coalesce((SELECT event_count {_OBSERVED}), 0) AS event_count, (SELECT last_seen {_OBSERVED}) AS last_seen,
(SELECT coalesce(sum(count), 0)::bigint FROM schema_violation_counts WHERE schema_id = event_schemas.id) AS violation_count
"""
_READ: Final = f"SELECT {_COLUMNS} FROM event_schemas WHERE tenant_id = $1"
_SAMPLES: Final = f"""
SELECT event_type, path, jsonb_path_query_array(samples, '$[0 to {SHOWN_SAMPLES - 1}]') AS samples
FROM observed_names JOIN unnest($2::text[], $3::text[]) AS wanted (event_type, path) USING (event_type, path)
WHERE tenant_id = $1
"""


class Schemas:
    """Manages the event schemas of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, declarations: Declarations | None = None) -> None:
        self._postgres = postgres
        self._declarations = declarations or Declarations(postgres)

    # Read

    async def list(self, tenant: Tenant) -> tuple[EventSchema, ...]:
        """Return all schemas of the tenant, by event type."""
        async with self._postgres.connection() as connection:
            rows = await connection.fetch(f"{_READ} ORDER BY event_type", tenant.id)
            return await _with_samples(connection, tenant, rows)

    async def page(
        self,
        tenant: Tenant,
        window: Window = FIRST_PAGE,
        *,
        order: Order = "event_type",
        event_type: str = "",
        search: str = "",
    ) -> Listed[EventSchema]:
        """Return a page of schemas: that of *event_type*, and those with *search* in event type or description."""
        conditions = (
            ("tenant_id = {}", tenant.id),
            ("event_type = {}", event_type or None),
            ("position(lower({}) IN lower(event_type || chr(10) || description)) > 0", search or None),
        )
        rows = Rows(_COLUMNS, "event_schemas", conditions, _SORTINGS)
        found = await rows.page(self._postgres, window, order, lambda row: row)
        async with self._postgres.connection() as connection:
            return Listed(await _with_samples(connection, tenant, found.results), found.count, found.cursor)

    async def get(self, tenant: Tenant, schema_id: int) -> EventSchema:
        """Return one schema; raises NotFound when the tenant has none of that id."""
        async with self._postgres.connection() as connection:
            return await _read(connection, tenant, schema_id)

    async def validate(self, tenant: Tenant, event_type: str, payload: Mapping[str, Any]) -> Validity:
        """Tell whether an event of this type with *payload* would be taken as it is; nothing is stored or counted."""
        declared = (await self._declarations.of(tenant)).by_type.get(event_type)
        known = (declared.schema_id, declared.strict) if declared else (None, False)
        event = {"user_id": "anybody", "event_type": event_type, "payload": payload}
        try:
            validate(event, received_at=datetime.now(UTC))
        except EventRejected as rejected:
            return Validity(False, *known, errors=(Finding(rejected.pointer, rejected.code, rejected.detail),))
        if declared is None:
            return Validity(True, *known)
        errors = tuple(Finding(one.pointer, one.code, one.detail) for one in declared.shape.violations(payload))
        return Validity(not errors, *known, errors=errors, warnings=declared.shape.undeclared(payload))

    # Write

    async def create(
        self,
        tenant: Tenant,
        *,
        event_type: str,
        description: str = "",
        properties: Sequence[SchemaProperty] = (),
        strict: bool = False,
    ) -> EventSchema:
        """Declare an event type.

        Raises:
            InvalidInput: A property that cannot be declared so.
            Conflict: The event type has a schema; the error says which.
        """
        _check(properties)
        sql = """
            INSERT INTO event_schemas (tenant_id, event_type, description, properties, strict)
            VALUES ($1, $2, $3, $4, $5) RETURNING id"""
        values = (tenant.id, event_type, description, _stored(properties), strict)
        try:
            async with self._postgres.transaction() as transaction:
                schema = await _read(transaction, tenant, await transaction.fetchval(sql, *values))
        except UniqueViolation:
            raise await self._taken(tenant, event_type) from None
        self._declarations.forget(tenant)
        return schema

    async def save(
        self, tenant: Tenant, *, event_type: str, description: str = "", properties: Sequence[SchemaProperty] = ()
    ) -> EventSchema:
        """Declare an event type; what was declared of it before is replaced.

        Raises:
            InvalidInput: A property that cannot be declared so.
        """
        _check(properties)
        sql = """
            INSERT INTO event_schemas (tenant_id, event_type, description, properties) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, event_type) DO UPDATE
                SET description = excluded.description, properties = excluded.properties, updated_at = now()
            RETURNING id"""
        async with self._postgres.transaction() as transaction:
            schema_id = await transaction.fetchval(sql, tenant.id, event_type, description, _stored(properties))
            schema = await _read(transaction, tenant, schema_id)
        self._declarations.forget(tenant)
        return schema

    async def update(
        self, tenant: Tenant, schema_id: int, changes: SchemaChanges, *, if_revision: Container[str] | None = None
    ) -> EventSchema:
        """Change some fields of a schema. Events that came before are not judged again.

        Raises:
            InvalidInput: A property that cannot be declared so.
            Conflict: Another schema has the event type.
            PreconditionFailed: *if_revision* does not hold the stored revision.
        """
        if changes.properties is not UNSET:
            _check(changes.properties)
        given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
        if changes.properties is not UNSET:
            given["properties"] = _stored(changes.properties)
        written = "".join(f"{name} = ${place}, " for place, name in enumerate(given, start=3))
        sql = f"UPDATE event_schemas SET {written}updated_at = clock_timestamp() WHERE tenant_id = $1 AND id = $2"
        try:
            async with self._postgres.transaction() as transaction:
                await _lock(transaction, tenant, schema_id, if_revision)
                await transaction.execute(sql, tenant.id, schema_id, *given.values())
                schema = await _read(transaction, tenant, schema_id)
        except UniqueViolation:
            raise await self._taken(tenant, str(changes.event_type)) from None
        self._declarations.forget(tenant)
        return schema

    async def delete(self, tenant: Tenant, schema_id: int, *, if_revision: Container[str] | None = None) -> None:
        """Delete a schema and what is kept of its violations; its events stay.

        Raises:
            PreconditionFailed: *if_revision* does not hold the stored revision.
        """
        async with self._postgres.transaction() as transaction:
            await _lock(transaction, tenant, schema_id, if_revision)
            await transaction.execute(
                "DELETE FROM event_schemas WHERE tenant_id = $1 AND id = $2", tenant.id, schema_id
            )
        self._declarations.forget(tenant)

    async def _taken(self, tenant: Tenant, event_type: str) -> Conflict:
        sql = "SELECT id FROM event_schemas WHERE tenant_id = $1 AND event_type = $2"
        taken_by = await self._postgres.fetchval(sql, tenant.id, event_type)
        detail = f"{event_type!r} has an event schema already, number {taken_by}: change that one."
        return Conflict(detail, code="schema_exists", context={"schema_id": taken_by})


def _check(properties: Sequence[SchemaProperty]) -> None:
    if wrong := list(mistakes_in(properties)):
        raise InvalidInput(wrong[0].detail, findings=wrong)


def _stored(properties: Iterable[SchemaProperty]) -> str:
    """Encode what is declared; sample values are read from what is in the data."""
    return msgspec.json.encode([msgspec.structs.replace(one, sample_values=()) for one in properties]).decode()


async def _read(connection: Connection, tenant: Tenant, schema_id: int) -> EventSchema:
    row = await connection.fetchrow(f"{_READ} AND id = $2", tenant.id, schema_id)
    if row is None:
        raise no_schema(schema_id)
    (schema,) = await _with_samples(connection, tenant, [row])
    return schema


async def _lock(transaction: Connection, tenant: Tenant, schema_id: int, if_revision: Container[str] | None) -> None:
    """Hold the row of a schema that exists and is at the wanted revision."""
    sql = "SELECT id FROM event_schemas WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
    await transaction.fetchval(sql, tenant.id, schema_id)
    current = await _read(transaction, tenant, schema_id)
    if if_revision is not None and current.revision not in if_revision:
        raise PreconditionFailed(f"Event schema {schema_id} was changed since. Read it again.")


async def _with_samples(connection: Connection, tenant: Tenant, rows: Sequence[Record]) -> tuple[EventSchema, ...]:
    """Return the schemas of *rows*, with values that occurred beside what is declared."""
    schemas = [(row, msgspec.json.decode(row["properties"], type=tuple[SchemaProperty, ...])) for row in rows]
    wanted = [(row["event_type"], declared.name) for row, properties in schemas for declared in properties]
    samples = dict[tuple[str, str], Any]()
    if wanted:
        found = await connection.fetch(_SAMPLES, tenant.id, [name for name, _ in wanted], [path for _, path in wanted])
        samples = {(row["event_type"], row["path"]): tuple(msgspec.json.decode(row["samples"])) for row in found}
    return tuple(
        EventSchema(
            id=row["id"],
            event_type=row["event_type"],
            description=row["description"],
            properties=tuple(
                msgspec.structs.replace(one, sample_values=samples.get((row["event_type"], one.name), ()))
                for one in properties
            ),
            strict=row["strict"],
            event_count=row["event_count"],
            last_seen_at=row["last_seen"],
            violation_count=row["violation_count"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
        for row, properties in schemas
    )
