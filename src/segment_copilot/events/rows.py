"""Writes events to ClickHouse as the rows they become there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from segment_copilot.events.trait_versions import trait_version
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS

_EVENT_COLUMNS = ("tenant_id", "event_type", "user_id", "occurred_at", "event_id", "payload_text")
_TRAIT_COLUMNS = ("tenant_id", "property", "user_id", "occurred_at", "event_id", "value_text")
_CURRENT_COLUMNS = ("tenant_id", "property", "user_id", "version", "occurred_at", "is_exact", "value_text")
_USER_COLUMNS = ("tenant_id", "user_id", "first_seen", "last_seen")


class Event(Struct, frozen=True, gc=False):
    """An accepted event: its id is unique in the tenant, its time aware UTC, its payload the text of a JSON object."""

    tenant_id: int
    event_id: str
    user_id: str
    event_type: str
    occurred_at: datetime
    payload: str = "{}"


class Rows(Struct, frozen=True):
    """The rows that events become in one table."""

    table: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def rows_of(events: Sequence[Event], *, present: Collection[tuple[int, str]] = frozenset()) -> tuple[Rows, ...]:
    """Return the rows of *events*, and of the traits and users that follow from them, in the order of writing.

    Events that are *present* have none of their own. Events come last, because only they have to be there exactly once:
    a user or trait row that is there twice means the same as once, so a block that fails on the way may even be cut up
    and written under other tokens. The history of traits comes before the current ones: who finds that the current
    value is too new looks for an older one there.
    """
    history, current = _traits(events)
    absent = [event for event in events if (event.tenant_id, event.event_id) not in present]
    return (
        Rows("users", _USER_COLUMNS, _users(events)),
        Rows("traits", _TRAIT_COLUMNS, history),
        Rows("traits_current", _CURRENT_COLUMNS, current),
        Rows("events", _EVENT_COLUMNS, _rows(absent)),
    )


async def write_block(
    clickhouse: ClickHouse, events: Sequence[Event], *, token: str, present: Collection[tuple[int, str]] = frozenset()
) -> None:
    """Write *events* (at most about 50,000) to ClickHouse, with the traits and users that follow from them.

    The same events in the same order under the same *token* may be written again: the second time changes nothing.

    ClickHouse remembers a token for so many inserts only. Of a block whose rows may have arrived longer ago than that,
    those that are *present* are left out; each partition is stored whole or not at all, so the token holds for the rest.
    """
    for part in rows_of(events, present=present):
        await clickhouse.insert(part.table, part.columns, part.rows, token=f"{token}-{part.table.replace('_', '-')}")


_PRESENT = """
SELECT DISTINCT tenant_id, event_id FROM events
WHERE tenant_id IN {tenants:Array(UInt32)} AND event_type IN {types:Array(String)} AND event_id IN {ids:Array(String)}
    AND user_key IN (SELECT arrayJoin(arrayMap(id -> sipHash64(id), {users:Array(String)})))
    AND occurred_at BETWEEN {first:DateTime64(6, 'UTC')} AND {last:DateTime64(6, 'UTC')}
"""
_PRESENT_STEP = 5000


async def present_events(clickhouse: ClickHouse, events: Sequence[Event]) -> set[tuple[int, str]]:
    """Return tenant and id of those *events* that are in ClickHouse already. It reads where their users and times are."""
    found: set[tuple[int, str]] = set()
    for start in range(0, len(events), _PRESENT_STEP):
        some = events[start : start + _PRESENT_STEP]
        params = {
            "tenants": sorted({event.tenant_id for event in some}),
            "types": sorted({event.event_type for event in some}),
            "ids": [event.event_id for event in some],
            "users": sorted({event.user_id for event in some}),
            "first": min(event.occurred_at for event in some),
            "last": max(event.occurred_at for event in some),
        }
        rows = (await clickhouse.fetch(_PRESENT, params, purpose="ingest", merge=ROWS)).rows
        found.update(tuple(row) for row in rows)
    return found


def _rows(events: Iterable[Event]) -> list[tuple[object, ...]]:
    return [(e.tenant_id, e.event_type, e.user_id, e.occurred_at, e.event_id, e.payload) for e in events]


_decode_traits = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _traits(events: Iterable[Event]) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Return the history, a row per identify and top-level key; and of each user's trait the newest of these rows.

    A null removes the trait: its value is empty.
    """
    history: list[tuple[object, ...]] = []
    newest: dict[tuple[int, str, str], tuple[int, Event, bool, str]] = {}
    for event in events:
        if event.event_type == IDENTIFY:
            version, is_exact = trait_version(event.occurred_at, event.event_id)
            for name, value in _decode_traits(event.payload).items():
                text = bytes(value).decode()
                wrapped = "{}" if text == "null" else f'{{"v":{text}}}'
                history.append((event.tenant_id, name, event.user_id, event.occurred_at, event.event_id, wrapped))
                key = event.tenant_id, name, event.user_id
                if key not in newest or newest[key][0] < version:
                    newest[key] = version, event, is_exact, wrapped
    current: list[tuple[object, ...]] = [
        (*key, version, event.occurred_at, is_exact, wrapped)
        for key, (version, event, is_exact, wrapped) in newest.items()
    ]
    return history, current


def _users(events: Iterable[Event]) -> list[tuple[object, ...]]:
    """Return one row per user: the first and the last sign of them in the block."""
    seen: dict[tuple[int, str], tuple[datetime, datetime]] = {}
    for event in events:
        key, at = (event.tenant_id, event.user_id), event.occurred_at
        first, last = seen.get(key, (at, at))
        seen[key] = (min(first, at), max(last, at))
    return [(tenant_id, user_id, first, last) for (tenant_id, user_id), (first, last) in seen.items()]
