"""Which names a tenant has used: what the catalog is made from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from segment_copilot.access.tenants import Tenants
from segment_copilot.events import Event, ObservedNames, observe_names
from segment_copilot.events import names as observed
from segment_copilot.stores.postgres import Postgres

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
async def tenant_id(postgres: Postgres) -> int:
    return (await Tenants(postgres).create("acme")).id


def happened(tenant_id: int, *payloads: Any, event_type: str = "order_placed", at: datetime = NOW) -> list[Event]:
    return [
        Event(tenant_id, "1", "ana", event_type, at, payload=msgspec.json.encode(payload).decode())
        for payload in payloads
    ]


async def known(postgres: Postgres, event_type: str = "order_placed") -> dict[str, tuple[list[str], list[Any]]]:
    """Types and samples by path."""
    sql = "SELECT path, types, samples FROM observed_names WHERE event_type = $1 AND path <> ''"
    return {row[0]: (row[1], msgspec.json.decode(row[2])) for row in await postgres.fetch(sql, event_type)}


async def test_paths_walk_objects_and_lists_are_values(postgres: Postgres, tenant_id: int):
    payload = {
        "total": 9.5, "items": 2, "gift": True, "note": "hi", "nothing": None, "empty": {}, "": 1,
        "shop": {"city": "Rome", "geo": {"lat": 1}}, "a.b": "dot", "c\\d": "backslash", "tags": ["x", 2, {"y": 1}],
    }  # fmt: skip

    await observe_names(postgres, happened(tenant_id, payload))

    assert await known(postgres) == {
        "total": (["number"], [9.5]),
        "items": (["number"], [2]),
        "gift": (["boolean"], [True]),
        "note": (["string"], ["hi"]),
        "shop.city": (["string"], ["Rome"]),
        "shop.geo.lat": (["number"], [1]),
        "a\\.b": (["string"], ["dot"]),
        "c\\\\d": (["string"], ["backslash"]),
        "tags": (["list"], ["x", 2]),
    }


async def test_types_and_samples_add_up_and_stay_few(postgres: Postgres, tenant_id: int):
    await observe_names(postgres, happened(tenant_id, *({"n": number} for number in range(40))))
    await observe_names(postgres, happened(tenant_id, *({"n": str(number)} for number in range(40))))
    await observe_names(postgres, happened(tenant_id, {"n": "x" * 65}))

    types, samples = (await known(postgres))["n"]

    assert types == ["number", "string"]
    assert samples == [*range(40), *map(str, range(10))]


async def test_event_types_are_counted_with_their_first_and_last_time(postgres: Postgres, tenant_id: int):
    memory = ObservedNames()
    for days in (2, 5, 1):
        events = happened(tenant_id, {"n": 1}, {"n": 1}, at=NOW - timedelta(days=days))
        new = observed.find_new_names(events, known=memory)
        await observed.write_names(postgres, new)
        memory.add(new)

    row = await postgres.fetchrow("SELECT event_count, first_seen, last_seen FROM observed_names WHERE path = ''")

    assert row is not None
    assert tuple(row.values()) == (6, NOW - timedelta(days=5), NOW - timedelta(days=1))


def test_a_process_writes_a_path_again_only_when_it_learns_something():
    memory = ObservedNames()
    memory.add(observed.find_new_names(happened(1, {"a": 1, "b": "x"}), known=memory))

    new = observed.find_new_names(happened(1, {"a": 1, "b": "x"}, {"a": True, "b": "y", "c": [1]}), known=memory)

    assert set(new.paths[1, "order_placed"]) == {"", "a", "b", "c"}
    memory.add(new)
    same = observed.find_new_names(happened(1, {"a": True, "b": "y", "c": [1]}), known=memory)
    assert set(same.paths[1, "order_placed"]) == {""}
    assert set(observed.find_new_names(happened(2, {"a": 1}), known=memory).paths[2, "order_placed"]) == {"", "a"}


async def test_a_payload_whose_keys_are_ids_does_not_fill_the_catalog(postgres: Postgres, tenant_id: int):
    payload = {f"{number}": 1 for number in range(observed.MAX_PATHS * 2)}

    await observe_names(postgres, happened(tenant_id, {"first": 1, **payload}, {"x" * 1001: 1}, {"ü" * 1024: 1}))

    found = await known(postgres)
    assert len(found) == observed.MAX_PATHS
    assert "first" in found
