"""USE CASE: tell which segments a user would enter or leave if an event happened. Nothing is stored.

The rows of the user are copied into temporary tables of the same names and layout, and the SQL that computes members
runs over those unchanged, before the event is written to them and after: docs/decisions/0016-sandbox.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
import uuid_utils
from msgspec import Struct
from msgspec.structs import replace

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.live import Unevaluated
from segment_copilot.audiences.references import References
from segment_copilot.compiler import Person, Plan, referenced_segments
from segment_copilot.compiler.slots import Node, SampleSlot, Slot, SlotNode
from segment_copilot.compiler.trees import is_true, normal, slots_of
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput
from segment_copilot.events.declarations import Declarations
from segment_copilot.events.discovery import Discovery
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.events.rows import Event, rows_of
from segment_copilot.events.validation import EventRejected, validate
from segment_copilot.events.waiting import WaitingEvents
from segment_copilot.language import Parsed, parse
from segment_copilot.stores.clickhouse import ClickHouse, Session
from segment_copilot.stores.postgres import Postgres

_TOGETHER: Final = 500  # slots that one query asks about

_ACTIVE: Final = """
SELECT id, name, definition FROM segments
WHERE tenant_id = $1 AND is_active AND segment_type <> 'static' AND definition IS NOT NULL ORDER BY id
"""
_COUNT: Final = "SELECT count(*) FROM segments WHERE tenant_id = $1 AND is_active"

_RANKS: Final = "It ranks users among all others, and the sandbox has the rows of one; preview it to see who is in."
_SEEN: Final = "SELECT count() FROM users WHERE first_seen <= {as_of:DateTime64(6, 'UTC')}"
_COPIED: Final = "SELECT event_id FROM events WHERE event_id IN {ids:Array(String)}"

# As in stores/migrations/clickhouse, but for what one user's rows make no use of: partitions and replicas.
_ENGINES: Final = {
    "users": "AggregatingMergeTree ORDER BY (tenant_id, user_key)",
    "traits": "MergeTree ORDER BY (tenant_id, property, user_key, occurred_at, event_id)",
    "traits_current": "ReplacingMergeTree(version) ORDER BY (tenant_id, property, user_key)",
    "events": "MergeTree ORDER BY (tenant_id, event_type, user_key, occurred_at, event_id)",
}
# In this order: the rows of an event are written to `events` last, so of one that is found there the others are there too.
_COLUMNS: Final = {
    "events": "tenant_id, event_type, user_key, occurred_at, event_id, payload",
    "traits": "tenant_id, property, user_key, occurred_at, event_id, value",
    "traits_current": "tenant_id, property, user_key, version, occurred_at, is_exact, value",
    "users": "tenant_id, user_key, user_id, first_seen, last_seen",
}


class ChangedSegment(Struct, frozen=True):
    """A segment that the user would enter or leave."""

    id: int
    name: str


class SandboxOutcome(Struct, frozen=True):
    """An outcome tells what an event would change; every active segment is in one of the four."""

    as_of: datetime
    entered: tuple[ChangedSegment, ...]
    exited: tuple[ChangedSegment, ...]
    not_evaluated: tuple[Unevaluated, ...]
    unchanged_count: int


class _Planned(Struct, frozen=True):
    segment: ChangedSegment
    tree: Node


class Sandbox:
    """Tries events on the segments of all tenants; every method takes the tenant."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        discovery: Discovery,
        references: References,
        waiting: WaitingEvents,
        declarations: Declarations,
        links: IdentityLinks,
    ) -> None:
        self._declarations = declarations
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._discovery = discovery
        self._references = references
        self._waiting = waiting
        self._links = links

    async def publish(
        self, tenant: Tenant, event: Mapping[str, Any], *, as_of: datetime | None = None
    ) -> SandboxOutcome:
        """Say what *event* would change of the active segments of its user, at *as_of* (default: now), at which it happens.

        A user whom nobody has seen has an empty history. An event later than *as_of* changes nothing yet.

        Raises:
            InvalidInput: The event would not be accepted: it is no event, or violates a strict schema of its type.
        """
        at = as_of or datetime.now(UTC)
        tried = _accepted(tenant, event, at)
        if (shape := (await self._declarations.of(tenant)).shape_of(tried.event_type)) and shape.strict:
            found = shape.violations(msgspec.json.decode(tried.payload))
            if findings := [Finding(one.pointer, one.code, one.detail) for one in found]:
                raise _refused(findings)
        planned, not_evaluated = await self._plan(tenant, at)
        changed = await self._changed(tenant, tried, planned, at) if tried.occurred_at <= at else []
        entered = tuple(one.segment for one, is_in in changed if is_in)
        exited = tuple(one.segment for one, is_in in changed if not is_in)
        active: int = await self._postgres.fetchval(_COUNT, tenant.id)
        unchanged = max(active - len(entered) - len(exited) - len(not_evaluated), 0)
        return SandboxOutcome(at, entered, exited, not_evaluated, unchanged)

    async def _plan(self, tenant: Tenant, as_of: datetime) -> tuple[list[_Planned], tuple[Unevaluated, ...]]:
        rows = await self._postgres.fetch(_ACTIVE, tenant.id)
        segments = [ChangedSegment(row["id"], row["name"]) for row in rows]
        parsed: list[Parsed] = [parse(row["definition"].encode()) for row in rows]
        named = {target for one in parsed for target in referenced_segments([each.leaf for each in one.leaves])}
        references = await self._references.load(tenant, named)
        catalog = await self._discovery.catalog(tenant)
        planned, not_evaluated = list[_Planned](), list[Unevaluated]()
        for segment, definition in zip(segments, parsed, strict=True):
            try:
                compiled = compiler.compile_definition(
                    definition, catalog=catalog, references=references, tenant_id=tenant.id, as_of=as_of
                )
            except InvalidDefinition as error:
                not_evaluated.append(Unevaluated(segment.id, segment.name, error.code, error.detail))
            else:
                tree = normal(compiled.plan.root)
                if compiler.ranks_users(tree):
                    not_evaluated.append(Unevaluated(segment.id, segment.name, "ranks_users", _RANKS))
                else:
                    planned.append(_Planned(segment, tree))
            await asyncio.sleep(0)  # planning hundreds takes a while, in which others are served
        return planned, tuple(not_evaluated)

    async def _changed(
        self, tenant: Tenant, tried: Event, planned: Sequence[_Planned], as_of: datetime
    ) -> list[tuple[_Planned, bool]]:
        """Return the segments whose audience the event moves the user into (True) or out of (False).

        Only slots that the event can change are asked twice. Of a user who was not known, all others are false, but samples.
        """
        person = await self._links.person(tenant, tried.user_id)
        tried = replace(tried, user_id=person.user_id)
        waiting = [replace(one, user_id=person.user_id) for one in await self._waiting.of_person(tenant, person)]
        traits = msgspec.json.decode(tried.payload, type=dict[str, msgspec.Raw])
        slots = slots_of([one.tree for one in planned])
        touched = [slot for slot in slots if compiler.can_change(slot, tried.event_type, traits)]
        async with self._clickhouse.session(purpose="sandbox", user=person.user_id) as session:
            await self._copy(session, tenant, person)
            await _write(session, await _absent(session, waiting))
            is_known = bool((await session.fetch(_SEEN, {"as_of": as_of})).rows[0][0])
            ask = partial(_true_slots, session, tenant, as_of)
            before = await ask(touched) if is_known else set[Slot]()
            await _write(session, [tried])
            after, concerned = await ask(touched), list(planned)
            if is_known:
                concerned = [one for one in planned if not (before ^ after).isdisjoint(slots_of([one.tree]))]
                others = slots_of([one.tree for one in concerned])
            else:
                others = [slot for slot in slots if isinstance(slot, SampleSlot)]
            same = await ask([slot for slot in others if slot not in touched])
        moved = list[tuple[_Planned, bool]]()
        for one in concerned:
            was_in, is_in = is_known and is_true(one.tree, before | same), is_true(one.tree, after | same)
            if was_in != is_in:
                moved.append((one, is_in))
        return moved

    async def _copy(self, session: Session, tenant: Tenant, person: Person) -> None:
        """Copy the rows of a user; from here on the names of the tables are those of the copies.

        What was stored under other ids of the person is copied as theirs.
        """
        ids = [person.user_id, *person.other_ids]
        params = {"database": self._clickhouse.database, "tenant": tenant.id, "ids": ids}
        for table, engine in _ENGINES.items():
            await session.fetch(f"CREATE TEMPORARY TABLE {table} AS {table} ENGINE = {engine}")
        for table, columns in _COLUMNS.items():
            copied = columns.replace("user_key", "sipHash64({user:String})").replace("user_id", "{user:String}")
            sql = f"""
                INSERT INTO {table} ({columns}) SELECT {copied} FROM {{database:Identifier}}.{table}
                WHERE tenant_id = {{tenant:UInt32}}
                    AND user_key IN (SELECT arrayJoin(arrayMap(id -> sipHash64(id), {{ids:Array(String)}})))"""
            await session.fetch(sql, params | {"user": person.user_id})


async def _write(session: Session, events: Sequence[Event]) -> None:
    for part in rows_of(events):
        await session.insert(part.table, part.columns, part.rows)


async def _absent(session: Session, waiting: Sequence[Event]) -> list[Event]:
    """Return those of *waiting* that were not among what was copied."""
    if not waiting:
        return []
    copied = await session.fetch(_COPIED, {"ids": [event.event_id for event in waiting]})
    present = {event_id for (event_id,) in copied.rows}
    return [event for event in waiting if event.event_id not in present]


async def _true_slots(session: Session, tenant: Tenant, as_of: datetime, slots: Sequence[Slot]) -> set[Slot]:
    """Return those of *slots* that the one user of the session's tables is in."""
    found = set[Slot]()
    for start in range(0, len(slots), _TOGETHER):
        some = slots[start : start + _TOGETHER]
        shared = compiler.SharedSlots([Plan(tenant.id, as_of, SlotNode(slot, False, "")) for slot in some])
        create, question = shared.create(), shared.ask()
        await session.fetch(create.sql, create.params)
        (holds,) = (await session.fetch(question.sql, question.params)).rows
        found |= {slot for slot, is_in in zip(some, holds, strict=True) if is_in}
        await session.fetch("DROP TEMPORARY TABLE shared_slots")
    return found


def _accepted(tenant: Tenant, event: Mapping[str, Any], at: datetime) -> Event:
    """Return the event as it would be stored had it been sent at that instant."""
    try:
        valid = validate(event, received_at=at)
    except EventRejected as rejected:
        raise _refused([Finding(rejected.pointer, rejected.code, rejected.detail)]) from rejected
    event_id = valid.event_id or str(uuid_utils.uuid7())
    return Event(tenant.id, event_id, valid.user_id, valid.event_type, valid.occurred_at, valid.payload)


def _refused(findings: Sequence[Finding]) -> InvalidInput:
    return InvalidInput(findings[0].detail, code="invalid_event", findings=findings)
