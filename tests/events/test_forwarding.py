"""From PostgreSQL to ClickHouse: every event once, whatever fails on the way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import QueryTimeout, Unavailable
from segment_copilot.events import (
    Event,
    FailedEvents,
    Forwarding,
    Ingestion,
    IngestionStatus,
    RecentEvents,
    forwarding,
    write_block,
)
from segment_copilot.stores import clickhouse as clickhouse_module
from segment_copilot.stores.clickhouse import LIMITS, ClickHouse, ClickHouseError, open_clickhouse
from segment_copilot.stores.leases import MAX_ATTEMPTS
from segment_copilot.stores.limits import Limits
from segment_copilot.stores.postgres import Postgres
from tests.support.proxies import run_proxy

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
LAPSED = timedelta(0)
"""The lease of a worker that is about to die."""


@pytest.fixture
async def tenant_id(postgres: Postgres) -> int:
    return (await Tenants(postgres).create("acme")).id


async def take(postgres: Postgres, tenant_id: int, *events: dict[str, Any]) -> None:
    sent = [msgspec.json.encode({"user_id": "ana", "event_type": "order_placed", **event}) for event in events]
    assert not (await Ingestion(postgres).accept(Tenant(tenant_id, "acme"), sent, received_at=NOW)).skipped


async def ingestion_status(postgres: Postgres, tenant_id: int) -> IngestionStatus:
    return await Ingestion(postgres).status(Tenant(tenant_id, "acme"))


async def forward(postgres: Postgres, clickhouse: ClickHouse) -> int:
    return await Forwarding(postgres, clickhouse).forward_next()


async def claim(dead: Forwarding) -> forwarding.Block:
    """What a worker that then dies, or is slow, holds."""
    assert await dead._form()
    block = await dead._claim()
    assert block is not None
    await dead._leases.begin([block.lease])
    return block


async def another_tenant(postgres: Postgres) -> int:
    return (await Tenants(postgres).create("another")).id


def identified(day: int, event_id: str, **traits: Any) -> dict[str, Any]:
    at = NOW.replace(day=day).isoformat()
    return {"event_type": "context_identified", "occurred_at": at, "event_id": event_id, "payload": traits}


async def forward_all(postgres: Postgres, clickhouse: ClickHouse, tenant_id: int) -> None:
    """As the worker does, without its pauses."""
    async with asyncio.timeout(60):
        while (await ingestion_status(postgres, tenant_id)).pending:
            await lapse(postgres)
            try:
                await forward(postgres, clickhouse)
            except ClickHouseError:
                continue


async def rows(clickhouse: ClickHouse, sql: str) -> list[tuple[Any, ...]]:
    return (await clickhouse.fetch(sql, purpose="catalog")).rows


async def ids(clickhouse: ClickHouse) -> list[str]:
    return [row[0] for row in await rows(clickhouse, "SELECT event_id FROM events ORDER BY event_id")]


async def test_an_event_arrives_as_it_was_sent(postgres: Postgres, clickhouse: ClickHouse, tenant_id: int):
    payload = {"total": 89.95, "day": "2026-01-01", "a.b": 1, "a": {"b": "x"}, "n": 2**63, "tags": ["ü", "😀"]}
    occurred_at = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    await take(postgres, tenant_id, {"event_id": "1", "occurred_at": occurred_at.isoformat(), "payload": payload})

    assert await forward(postgres, clickhouse) == 1

    found = await rows(
        clickhouse,
        "SELECT tenant_id, event_type, user_key = sipHash64('ana'), occurred_at, event_id, toString(payload) FROM events "
        "SETTINGS json_type_escape_dots_in_keys = 1",
    )
    assert found[0][:-1] == (tenant_id, "order_placed", 1, occurred_at, "1")
    assert msgspec.json.decode(found[0][-1]) == payload
    status = await ingestion_status(postgres, tenant_id)
    assert (status.pending, status.forwarded) == (0, 1)


async def test_nothing_waiting_is_nothing_forwarded(postgres: Postgres, clickhouse: ClickHouse):
    assert await forward(postgres, clickhouse) == 0


async def test_a_worker_that_dies_after_writing_leaves_no_second_copy(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    times = [f"2026-{month:02}-01T00:00:00Z" for month in range(1, 7)]  # several partitions
    await take(postgres, tenant_id, *({"event_id": str(n), "occurred_at": time} for n, time in enumerate(times)))
    block = await claim(Forwarding(postgres, clickhouse, lease=LAPSED))
    events = [forwarding._event(row) for row in await postgres.fetch(forwarding._ROWS, block.id)]
    await write_block(clickhouse, events, token=str(block.token))  # and dies before it can say so
    await take(postgres, tenant_id, {"event_id": "later"})

    assert await forward(postgres, clickhouse) == 6  # the block of the dead worker first, as it was
    assert await forward(postgres, clickhouse) == 1

    assert await ids(clickhouse) == ["0", "1", "2", "3", "4", "5", "later"]
    assert (await ingestion_status(postgres, tenant_id)).forwarded == 7


async def test_a_worker_that_dies_half_way_through_the_tables_leaves_nothing_out(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    await take(postgres, tenant_id, {"event_id": "1", "event_type": "context_identified", "payload": {"plan": "pro"}})
    block = await claim(Forwarding(postgres, clickhouse, lease=LAPSED))
    columns, row = ("tenant_id", "user_id", "first_seen", "last_seen"), (tenant_id, "ana", NOW, NOW)
    await clickhouse.insert("users", columns, [row], token=f"{block.token}-users")

    await forward(postgres, clickhouse)

    assert await rows(clickhouse, "SELECT count() FROM users FINAL") == [(1,)]
    assert await rows(clickhouse, "SELECT count() FROM traits") == [(1,)]
    assert await rows(clickhouse, "SELECT count() FROM traits_current FINAL") == [(1,)]
    assert await ids(clickhouse) == ["1"]


@pytest.mark.parametrize("written", [6, 3])
async def test_a_block_that_arrived_unseen_counts_once_however_many_came_after_it(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int, written: int
):
    """ClickHouse remembers the tokens of the last inserts only; here of one. *written*: of the block's six months."""
    await clickhouse.execute(
        "ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 1", purpose="migrate"
    )
    times = [f"2026-{month:02}-01T00:00:00Z" for month in range(1, 7)]
    await take(postgres, tenant_id, *({"event_id": str(n), "occurred_at": time} for n, time in enumerate(times)))
    block = await claim(Forwarding(postgres, clickhouse, lease=LAPSED))
    events = [forwarding._event(row) for row in await postgres.fetch(forwarding._ROWS, block.id)]
    await write_block(clickhouse, events[:written], token=str(block.token))  # and its answer never came
    for n in range(3):
        other = Event(tenant_id, f"other {n}", "ben", "order_placed", NOW)
        await write_block(clickhouse, [other], token=f"another {n}")

    assert await forward(postgres, clickhouse) == 6

    assert await ids(clickhouse) == ["0", "1", "2", "3", "4", "5", "other 0", "other 1", "other 2"]


async def test_a_block_that_was_given_back_counts_once_however_many_came_after_it(
    postgres: Postgres, clickhouse: ClickHouse, clickhouse_url: str, tenant_id: int
):
    """The store was to blame, so no attempt is counted: that there was one is known all the same."""
    await clickhouse.execute(
        "ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 1", purpose="migrate"
    )
    await take(postgres, tenant_id, {"event_id": "1"})
    async with run_proxy(clickhouse_url) as (proxy, url), open_clickhouse(url) as behind:
        proxy.stall_answers_to(b"INSERT INTO `events`", arrived=True)
        trying = asyncio.create_task(forward(postgres, behind))
        async with asyncio.timeout(10):
            while await ids(clickhouse) != ["1"]:  # noqa: ASYNC110  # nothing to be woken by
                await asyncio.sleep(0.01)
        proxy.hang_up()
        with pytest.raises(Unavailable):
            await trying
    await write_block(clickhouse, [Event(tenant_id, "2", "ben", "order_placed", NOW)], token="another")
    await lapse(postgres)

    assert await open_blocks(postgres) == [("pending", 0, 1)]
    assert await forward(postgres, clickhouse) == 1

    assert await ids(clickhouse) == ["1", "2"]


async def test_a_slow_worker_that_was_overtaken_counts_nothing_twice(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    await take(postgres, tenant_id, {"event_id": "1"})
    slow = Forwarding(postgres, clickhouse, lease=LAPSED)
    block = await claim(slow)
    await forward(postgres, clickhouse)

    assert await slow._forward(block) == 0

    assert await ids(clickhouse) == ["1"]
    assert (await ingestion_status(postgres, tenant_id)).forwarded == 1


async def test_workers_side_by_side_share_the_work(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forwarding, "MAX_BLOCK_EVENTS", 50)
    await take(postgres, tenant_id, *({"event_id": f"{n:04}"} for n in range(1000)))

    async def work() -> int:
        done = 0
        while (await ingestion_status(postgres, tenant_id)).pending:
            done += await forward(postgres, clickhouse)
        return done

    async with asyncio.timeout(60):
        done = await asyncio.gather(*(work() for _ in range(4)))

    assert sum(done) == 1000
    assert await ids(clickhouse) == [f"{n:04}" for n in range(1000)]
    assert (await ingestion_status(postgres, tenant_id)).forwarded == 1000


async def test_a_block_is_bounded_in_bytes_but_never_empty(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forwarding, "MAX_BLOCK_BYTES", 1000)
    await take(postgres, tenant_id, {"payload": {"x": "x" * 2000}}, *({"payload": {"x": "x" * 400}} for _ in range(5)))

    assert [await forward(postgres, clickhouse) for _ in range(5)] == [1, 3, 2, 0, 0]


async def store_unchecked(postgres: Postgres, tenant_id: int, event_id: str) -> None:
    """An event that validation would have refused: ClickHouse will."""
    await postgres.execute(
        "INSERT INTO events (tenant_id, event_id, user_id, event_type, occurred_at, payload) VALUES ($1, $2, $3, $4, $5, $6)",
        tenant_id,
        event_id,
        "eve",
        "order_placed",
        NOW,
        '{"a":1e400}',
    )


async def test_an_event_that_clickhouse_refuses_is_set_aside_alone(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    await take(postgres, tenant_id, *({"event_id": f"good {n}"} for n in range(6)))
    await store_unchecked(postgres, tenant_id, "bad")
    await take(postgres, tenant_id, *({"event_id": f"good {n}"} for n in range(6, 11)))

    await forward_all(postgres, clickhouse, tenant_id)

    assert await ids(clickhouse) == sorted(f"good {n}" for n in range(11))
    status = await ingestion_status(postgres, tenant_id)
    assert (status.pending, status.forwarded, status.failed) == (0, 11, 1)
    failed = await postgres.fetchrow("SELECT error FROM blocks WHERE status = 'failed'")
    assert failed is not None
    assert failed["error"] == "ClickHouseError 117"  # and not the data that ClickHouse quotes


async def test_an_event_set_aside_is_listed_with_its_reason_and_tried_again(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    acme, another = Tenant(tenant_id, "acme"), Tenant(await another_tenant(postgres), "another")
    await store_unchecked(postgres, tenant_id, "bad")
    await store_unchecked(postgres, another.id, "as bad")
    await forward_all(postgres, clickhouse, tenant_id)
    await forward_all(postgres, clickhouse, another.id)
    failed = FailedEvents(postgres)

    listed = await failed.list()
    (mine,) = await failed.list(acme)
    assert [(event.tenant, event.event_id, event.reason) for event in listed] == [
        ("acme", "bad", "ClickHouseError 117"),
        ("another", "as bad", "ClickHouseError 117"),
    ]
    assert (mine, await failed.count()) == (listed[0], 2)

    await postgres.execute("UPDATE events SET payload = '{}'")  # what refused them was mended
    assert await failed.retry(acme, numbers=[listed[1].number]) == 0  # it is another's
    assert await failed.retry(another) == 1
    assert await failed.retry(numbers=[mine.number]) == 1
    await forward_all(postgres, clickhouse, tenant_id)
    await forward_all(postgres, clickhouse, another.id)

    assert await ids(clickhouse) == ["as bad", "bad"]
    assert (await failed.count(), await failed.list()) == (0, ())


async def test_while_tables_are_missing_events_wait_and_no_attempt_is_counted(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    """As before `migrate`, for whatever table; SELECTs are answered all the while."""
    await take(postgres, tenant_id, identified(1, "0", plan="pro"), *({"event_id": str(n)} for n in range(1, 4)))
    for table in ("users", "traits", "traits_current", "events"):
        await clickhouse.execute(f"RENAME TABLE {table} TO hidden", purpose="migrate")
        for _ in range(5):
            await lapse(postgres)
            with pytest.raises(Unavailable):
                await forward(postgres, clickhouse)
        await clickhouse.execute(f"RENAME TABLE hidden TO {table}", purpose="migrate")

    assert await open_blocks(postgres) == [("pending", 0, 4)]
    await forward_all(postgres, clickhouse, tenant_id)
    assert await ids(clickhouse) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("seconds", [1, 60])
async def test_while_inserts_stall_events_wait_and_no_attempt_is_counted(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int, monkeypatch: pytest.MonkeyPatch, seconds: int
):
    """The server gives up by itself, or we do: SELECTs are answered all the while."""
    await take(postgres, tenant_id, *({"event_id": str(n)} for n in range(3)))
    stall = "ALTER TABLE events ADD CONSTRAINT stalls CHECK sleepEachRow(1) = 0"
    await clickhouse.execute(stall, purpose="migrate")
    with monkeypatch.context() as impatient:
        impatient.setitem(LIMITS, "ingest", Limits(seconds, 4))
        impatient.setattr(clickhouse_module, "_GRACE_SECONDS", 1 - seconds if seconds > 1 else 5)
        for _ in range(4):
            await lapse(postgres)
            with pytest.raises((Unavailable, QueryTimeout)):
                await forward(postgres, clickhouse)
    await clickhouse.execute("ALTER TABLE events DROP CONSTRAINT stalls", purpose="migrate")

    assert await open_blocks(postgres) == [("pending", 0, 3)]
    await forward_all(postgres, clickhouse, tenant_id)
    assert await ids(clickhouse) == ["0", "1", "2"]


async def test_an_unforeseen_error_is_the_stores_until_others_got_through(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    """A row at which ClickHouse fails in a way of its own: the others of its block go on, and it waits."""
    await take(postgres, tenant_id, *({"event_id": f"good {n}"} for n in range(4)), {"event_type": "odd"})
    odd = "ALTER TABLE events ADD CONSTRAINT odd CHECK throwIf(event_type = 'odd') = 0"
    await clickhouse.execute(odd, purpose="migrate")
    for _ in range(4):
        await lapse(postgres)
        with pytest.raises(ClickHouseError):
            await forward(postgres, clickhouse)
    assert await open_blocks(postgres) == [("pending", 0, 5)]

    await take(postgres, tenant_id, {"event_id": "another"})
    async with asyncio.timeout(60):
        while (await ingestion_status(postgres, tenant_id)).pending > 1:
            with suppress(ClickHouseError):
                if not await forward(postgres, clickhouse):
                    await lapse(postgres)

    assert await ids(clickhouse) == ["another", *(f"good {n}" for n in range(4))]
    assert await open_blocks(postgres) == [("pending", 0, 1)]
    await clickhouse.execute("ALTER TABLE events DROP CONSTRAINT odd", purpose="migrate")
    await forward_all(postgres, clickhouse, tenant_id)
    assert (await ingestion_status(postgres, tenant_id)).forwarded == 6


async def lapse(postgres: Postgres) -> None:
    """As if the pause of every block were over."""
    await postgres.execute("UPDATE blocks SET lease_until = NULL WHERE status = 'pending'")


async def open_blocks(postgres: Postgres) -> list[tuple[str, int, int]]:
    """Of the blocks that are not forwarded: status, attempts, events."""
    sql = "SELECT status, attempts, event_count FROM blocks WHERE status <> 'forwarded'"
    return [(row[0], row[1], row[2]) for row in await postgres.fetch(sql)]


async def test_cutting_up_a_block_that_did_arrive_adds_nothing(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    await take(postgres, tenant_id, *({"event_id": str(n)} for n in range(5)))
    block = await claim(Forwarding(postgres, clickhouse, lease=LAPSED))
    events = [forwarding._event(row) for row in await postgres.fetch(forwarding._ROWS, block.id)]
    await write_block(clickhouse, events[:3], token="a part of it")
    await postgres.execute("UPDATE blocks SET attempts = $1", MAX_ATTEMPTS)  # its workers died each time

    await forward_all(postgres, clickhouse, tenant_id)

    assert await ids(clickhouse) == ["0", "1", "2", "3", "4"]
    assert (await ingestion_status(postgres, tenant_id)).forwarded == 5


async def test_while_clickhouse_is_away_events_wait_readable_and_no_attempt_is_counted(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    await take(postgres, tenant_id, {"event_id": "1"})
    async with open_clickhouse("clickhouse://app:x@127.0.0.1:1/nowhere") as away:
        for _ in range(5):
            await postgres.execute("UPDATE blocks SET lease_until = NULL")
            with pytest.raises(Unavailable):
                await forward(postgres, away)

    assert await postgres.fetchval("SELECT attempts FROM blocks") == 0
    assert (await RecentEvents(postgres).list(Tenant(tenant_id, "acme"))).total == 1
    await forward_all(postgres, clickhouse, tenant_id)
    assert await ids(clickhouse) == ["1"]


async def test_traits_are_rows_of_their_own_and_a_null_removes_one(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    identify = {"event_type": "context_identified", "occurred_at": "2026-06-01T00:00:00Z"}
    await take(
        postgres,
        tenant_id,
        {**identify, "event_id": "1", "payload": {"plan": "pro", "a.b": {"c": [1, "x"]}, "age": 41}},
        {**identify, "event_id": "2", "payload": {"plan": None, "note": "null"}},
        {"event_id": "3", "payload": {"plan": "no trait"}},
    )

    await forward(postgres, clickhouse)

    sql = "SELECT event_id, property, toString(value), user_key = sipHash64('ana') FROM traits ORDER BY event_id, property"
    assert await rows(clickhouse, sql) == [
        ("1", "a.b", '{"v":{"c":[1,"x"]}}', 1),
        ("1", "age", '{"v":41}', 1),
        ("1", "plan", '{"v":"pro"}', 1),
        ("2", "note", '{"v":"null"}', 1),
        ("2", "plan", "{}", 1),
    ]
    assert await ids(clickhouse) == ["1", "2", "3"]  # naming context_identified in a condition sees identifies too


async def test_the_current_value_of_a_trait_is_the_newest_of_its_history(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    """Whatever comes late, twice or at the same time; of ids too long to be told apart, the history tells."""
    await take(postgres, await another_tenant(postgres), identified(3, "1", plan="decoy"))
    for events in (
        [identified(2, "b", plan="pro", city="Rome"), identified(2, "a", plan="free", city="Oslo")],
        [identified(1, "z", plan="late", tags=["x"]), identified(2, "b", plan="pro", city="Rome")],
        [identified(2, "a-", city="Lima"), identified(3, "c", tags=None)],
        [identified(4, "x" * 40 + "2", score=2), identified(4, "x" * 40 + "1", score=1)],
        [identified(4, "x" * 40 + "10", score=3)],
    ):
        await take(postgres, tenant_id, *events)
        await forward(postgres, clickhouse)

    current = "SELECT property, occurred_at, toString(value) FROM traits_current FINAL"
    history = "SELECT property, max(occurred_at), argMax(toString(value), (occurred_at, event_id)) FROM traits"
    mine = f"WHERE tenant_id = {tenant_id} AND property"
    assert await rows(clickhouse, f"{current} {mine} != 'score' AND is_exact ORDER BY property") == [
        ("city", NOW.replace(day=2), '{"v":"Rome"}'),
        ("plan", NOW.replace(day=2), '{"v":"pro"}'),
        ("tags", NOW.replace(day=3), "{}"),
    ]
    assert await rows(clickhouse, f"{history} {mine} != 'score' GROUP BY property ORDER BY property") == await rows(
        clickhouse, f"{current} {mine} != 'score' ORDER BY property"
    )
    assert await rows(clickhouse, f"SELECT is_exact FROM traits_current FINAL {mine} = 'score'") == [(False,)]
    assert await rows(clickhouse, "SELECT uniqExact(tenant_id), uniqExact(user_key) FROM traits_current") == [(2, 1)]


async def test_users_are_known_from_their_first_sign_to_their_last(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    days = {"ana": (3, 1, 2), "ben": (5,)}
    for user, order in days.items():
        for day in order:
            await take(postgres, tenant_id, {"user_id": user, "occurred_at": f"2026-06-{day:02}T00:00:00Z"})
            await forward(postgres, clickhouse)

    sql = "SELECT user_id, toDayOfMonth(first_seen), toDayOfMonth(last_seen) FROM users FINAL ORDER BY user_id"
    assert await rows(clickhouse, sql) == [("ana", 1, 3), ("ben", 5, 5)]


async def test_forwarded_events_leave_postgresql_after_their_hours_and_waiting_ones_stay(
    postgres: Postgres, clickhouse: ClickHouse, tenant_id: int
):
    await take(postgres, tenant_id, {"event_id": "old"})
    await forward(postgres, clickhouse)
    await postgres.execute("UPDATE blocks SET forwarded_at = $1", NOW - timedelta(hours=73))
    await take(postgres, tenant_id, {"event_id": "new"})
    await forward(postgres, clickhouse)
    await take(postgres, tenant_id, {"event_id": "waiting"})
    await postgres.execute("UPDATE blocks SET forwarded_at = $1 WHERE forwarded_at > $1", NOW - timedelta(hours=71))

    options = {"now": NOW, "recent": timedelta(hours=72), "remembered": timedelta(days=90)}
    cleaning = Forwarding(postgres, clickhouse)
    assert await cleaning.clean_up(**options)
    assert not await cleaning.clean_up(**options)

    assert [row[0] for row in await postgres.fetch("SELECT event_id FROM events ORDER BY seq")] == ["new", "waiting"]
    assert await ids(clickhouse) == ["new", "old"]
    assert (await ingestion_status(postgres, tenant_id)).forwarded == 2
