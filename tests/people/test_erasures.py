"""Forgetting a person: afterwards no table and no file has a byte of any of their ids, and a receipt says so."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from segment_copilot.access.idempotency import Answer, Claim
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.exports import Source
from segment_copilot.copilot.feedback import Opinion
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.events.shapes import SchemaProperty
from segment_copilot.people.erasures import Erasure, Erasures
from segment_copilot.people.traces import Traces
from segment_copilot.resources import Resources

pytestmark = pytest.mark.engines

Json = dict[str, Any]
WHOLE = "zq7-whole-person@example.com"
IDS = (WHOLE, "anon_zq7-phone", "anon_zq7-laptop", "zq7-maiden-name")
NOW = datetime(2026, 6, 15, tzinfo=UTC)
EVERYBODY = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "seen", "operator": "gte", "value": 1}],
}


async def accept(resources: Resources, tenant: Tenant, *events: Json) -> None:
    accepted = await resources.ingestion.accept(tenant, list(events), received_at=datetime.now(UTC))
    assert not accepted.skipped


async def forward(resources: Resources) -> None:
    while await resources.forwarding.forward_next():
        pass
    await resources.identity_links.forward_next()


async def erased(resources: Resources, tenant: Tenant, erasure: Erasure, *, by: Erasures | None = None) -> Erasure:
    """Works until it is done; what has to end first is looked at again and again."""
    async with asyncio.timeout(60):
        while (found := await resources.erasures.get(tenant, erasure.id)).status in {"queued", "working"}:
            await (by or resources.erasures).run_next()
    return found


async def live(resources: Resources, tenant: Tenant) -> None:
    """A person of four ids, and somebody else; with all that there is of them."""
    at = NOW.isoformat()
    required = SchemaProperty("page", type="string", required=True)
    await resources.schemas.create(tenant, event_type="seen", properties=[required])
    await accept(
        resources,
        tenant,
        {"anonymous_id": "zq7-phone", "event_type": "seen", "occurred_at": at, "payload": {"city": "Vigo"}},
        {"anonymous_id": "zq7-phone", "user_id": "zq7-maiden-name", "event_type": "seen", "occurred_at": at},
        {"anonymous_id": "zq7-laptop", "user_id": WHOLE, "event_type": "seen", "payload": {"tags": ["rare", "usual"]}},
        {"user_id": WHOLE, "event_type": "context_identified", "payload": {"email": WHOLE, "city": "Lugo"}},
        {"user_id": "other", "event_type": "context_identified", "payload": {"email": "o@example.com", "city": "Lugo"}},
        {"user_id": "other", "event_type": "seen", "payload": {"city": "Vigo", "tags": ["usual"]}},
    )
    await forward(resources)
    await resources.identity_links.merge(tenant, "zq7-maiden-name", WHOLE)
    await accept(resources, tenant, {"user_id": WHOLE, "event_type": "seen", "payload": {"city": "Vigo"}})
    await forward(resources)
    sql = """
        INSERT INTO segment_versions (segment_id, version, definition, words, tier, session_user_id)
        SELECT id, 2, definition, '', tier, $1 FROM segments"""
    opinion = Opinion("run_" + "0" * 32, "up", "", "")
    await resources.feedback.keep(tenant, opinion, given_by=WHOLE)
    saved = await resources.segments.create(tenant, name="Everybody", definition=msgspec.json.encode(EVERYBODY))
    await resources.postgres.execute(sql, WHOLE)
    for _ in range(3):  # of older runs the members are hidden, not gone
        await resources.computations.request(tenant, saved.segment.id)
        await resources.computations.run_next()
    await resources.removals.remove_due()
    await resources.exports.request(tenant, Source("segment", saved.segment.id), form="csv", include=["traits.email"])
    await resources.exports.run_next()
    await resources.snapshots.request(tenant, saved.segment.id, name="Then")
    await resources.snapshots.run_next()
    await accept(resources, tenant, {"user_id": WHOLE, "event_type": "seen"})  # waits


async def traces(resources: Resources, wanted: tuple[str, ...] = IDS) -> set[str]:
    """The tables, of both stores, that have any of the ids or of their keys somewhere; of ClickHouse its files."""
    found = set[str]()
    tables = await resources.postgres.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        sql = f"SELECT count(*) FROM {table} AS one WHERE one::text ~ 'zq7' OR one::text ~ '{b'zq7'.hex()}'"
        found |= {f"postgres {table}"} if await resources.postgres.fetchval(sql) else set()
    if await resources.postgres.fetchval("SELECT count(*) FROM pg_stats WHERE most_common_vals::text ~ 'zq7'"):
        found.add("postgres statistics")
    ids = {"ids": list(wanted)}
    sql = "SELECT arrayJoin(arrayMap(id -> sipHash64(id), {ids:Array(String)}))"
    keys = [key for (key,) in (await resources.clickhouse.fetch(sql, ids, purpose="catalog")).rows]
    needles = [b"zq7", *(struct.pack("<Q", key) for key in keys), *(str(key).encode() for key in keys)]
    sql = "SELECT name, arrayJoin(data_paths) FROM system.tables WHERE database = currentDatabase()"
    for name, path in (await resources.clickhouse.fetch(sql, purpose="catalog")).rows:
        if holds(Path(path), needles):
            found.add(f"clickhouse {name}")
    return found


def holds(directory: Path, needles: list[bytes]) -> bool:
    """Whether any file has any of these."""
    texts = (file.read_bytes() for file in directory.rglob("*") if file.is_file())
    return any(needle in text for text in texts for needle in needles)


async def test_nothing_is_left_of_a_person_and_all_of_everybody_else(
    resources: Resources, tenant: Tenant, other_tenant: Tenant
):
    await live(resources, tenant)
    before = await traces(resources)
    in_clickhouse = {
        "events",
        "traits",
        "traits_current",
        "users",
        "identity_links",
        "user_numbers",
        "snapshot_members",
    }
    assert before >= {f"clickhouse {table}" for table in in_clickhouse} or not any("click" in one for one in before)
    in_postgres = {
        "events",
        "identity_links",
        "copilot_feedback",
        "schema_violations",
        "segment_versions",
        "export_chunks",
    }
    assert before >= {f"postgres {table}" for table in in_postgres}

    requested = await resources.erasures.request(tenant, "anon_zq7-phone")
    assert (await resources.erasures.request(tenant, WHOLE)).id == requested.id
    done = await erased(resources, tenant, requested)

    assert done.status == "done"
    assert await traces(resources) == set()
    (segment,) = (await resources.segments.list(tenant)).results
    assert segment.member_count == 1
    assert [one.user_id for one in (await resources.members.page(tenant, segment.id)).members] == ["other"]
    preview = await resources.previews.preview(tenant, msgspec.json.encode(EVERYBODY))
    assert (preview.universe, preview.sample_user_ids) == (1, ("other",))
    catalog = await resources.discovery.catalog(tenant, fresh=True)
    assert catalog.traits["email"].samples == ("o@example.com",)
    assert catalog.traits["city"].samples == ("Lugo",)
    assert catalog.event_types["seen"].properties["tags"].samples == ("usual",)
    assert catalog.event_types["seen"].properties["city"].samples == ("Vigo",)

    receipt = done.receipt
    assert receipt is not None
    elsewhere = {"exports": 1, "snapshots": 1, "answers": 0, "rejections": 0, "webhook_answers": 0}
    assert receipt.removed.elsewhere == elsewhere
    assert (receipt.removed.ids, receipt.removed.recent_events, receipt.removed.feedback) == (4, 6, 1)
    assert receipt.removed.rows["events"] == 5
    assert receipt.removed.samples == 2
    assert await resources.erasures.is_genuine(receipt)
    later = msgspec.structs.replace(receipt, finished_at=receipt.finished_at + timedelta(seconds=1))
    assert not await resources.erasures.is_genuine(later)
    with pytest.raises(NotFound):
        await resources.erasures.get(other_tenant, done.id)

    await accept(resources, tenant, {"user_id": WHOLE, "event_type": "seen"})
    await forward(resources)
    preview = await resources.previews.preview(tenant, msgspec.json.encode(EVERYBODY))
    assert (preview.universe, preview.sample_user_ids) == (2, ("other", WHOLE))


async def test_counts_of_events_and_of_changes_are_those_of_who_is_left(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    await accept(resources, other_tenant, {"user_id": WHOLE, "event_type": "seen"})
    await live(resources, tenant)
    segment_id = (await resources.segments.list(tenant)).results[0].id
    alone = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "alone"}]}
    lonely = (await resources.segments.create(tenant, name="Alone", definition=msgspec.json.encode(alone))).segment
    await accept(resources, tenant, {"user_id": WHOLE, "event_type": "alone"})
    await forward(resources)
    await resources.computations.request(tenant, lonely.id)
    await resources.computations.run_next()
    elsewhere = await resources.discovery.catalog(other_tenant, fresh=True)
    remove = Traces.remove

    async def and_die(self: Traces, table: str) -> None:
        await remove(self, table)
        raise _Died

    requested = await resources.erasures.request(tenant, WHOLE)
    with monkeypatch.context() as patched:
        patched.setattr(Traces, "remove", and_die)
        with pytest.raises(_Died):
            await erased(resources, tenant, requested, by=_worker(resources))
    await resources.postgres.execute("UPDATE erasures SET lease_until = now(), attempts = 0")
    await erased(resources, tenant, requested, by=_worker(resources))

    catalog = await resources.discovery.catalog(tenant, fresh=True)
    assert {name: kind.event_count for name, kind in catalog.event_types.items()} == {"seen": 1, "alone": 0}
    assert (await resources.discovery.catalog(other_tenant, fresh=True)).event_types == elsewhere.event_types
    for found, others in ((segment_id, ["other"]), (lonely.id, [])):
        changes = await resources.changes.page(tenant, found)
        assert ([one.user_id for one in changes.results], changes.count) == (others, len(others))
        recorded = (await resources.computation_records.list(tenant, found)).results
        assert sum(one.entered or 0 for one in recorded) == len(others)


async def test_what_is_on_its_way_is_waited_for_and_what_comes_meanwhile_begins_a_new_person(
    resources: Resources, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    arriving, go_on, insert = asyncio.Event(), asyncio.Event(), resources.clickhouse.insert
    both = [{"user_id": user_id, "event_type": "seen"} for user_id in (WHOLE, "other")]
    await accept(resources, tenant, *both)

    async def insert_slowly(*args: Any, **kwargs: Any) -> int:
        arriving.set()
        await go_on.wait()
        return await insert(*args, **kwargs)

    monkeypatch.setattr(resources.clickhouse, "insert", insert_slowly)
    forwarding = asyncio.create_task(resources.forwarding.forward_next())
    await arriving.wait()
    requested = await resources.erasures.request(tenant, WHOLE)
    await resources.erasures.run_next()
    assert (await resources.erasures.get(tenant, requested.id)).status == "queued"
    await accept(resources, tenant, {"user_id": "other", "event_type": "seen"})
    go_on.set()
    assert await forwarding == 2

    mark = Traces.mark

    async def come_later(self: Traces, ids: Sequence[str]) -> None:
        await mark(self, ids)
        await accept(resources, tenant, {"user_id": WHOLE, "event_type": "came later"})
        assert await resources.forwarding.forward_next() == 1  # the other's; theirs waits

    monkeypatch.setattr(Traces, "mark", come_later)
    assert (await erased(resources, tenant, requested)).status == "done"
    assert await resources.forwarding.forward_next() == 1

    sql = """
        SELECT users.user_id, event_type, count() FROM events
        JOIN (SELECT DISTINCT user_key, user_id FROM users) AS users ON events.user_key = users.user_key
        GROUP BY ALL ORDER BY ALL"""
    rows = (await resources.clickhouse.fetch(sql, purpose="catalog")).rows
    assert rows == [("other", "seen", 2), (WHOLE, "came later", 1)]


class _Died(BaseException):
    """As a process does: nothing is written down on the way out."""


async def test_an_erasure_whose_worker_dies_at_any_step_is_finished_by_the_next(
    resources: Resources, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    await live(resources, tenant)
    requested = await resources.erasures.request(tenant, WHOLE)
    for step in ("mark", "samples", "remove", "settle", "unmark"):
        done = getattr(Traces, step)

        async def and_die(self: Traces, *args: Any, done: Callable[..., Awaitable[Any]] = done) -> Any:
            await done(self, *args)
            raise _Died

        with monkeypatch.context() as patched:
            patched.setattr(Traces, step, and_die)
            with pytest.raises(_Died):
                await erased(resources, tenant, requested, by=_worker(resources))
        await resources.postgres.execute("UPDATE erasures SET lease_until = now(), attempts = 0")  # as its death does

    done = await erased(resources, tenant, requested, by=_worker(resources))

    assert done.status == "done"
    assert await traces(resources) == set()
    assert done.receipt is not None
    assert done.receipt.removed.rows["events"] == 5
    assert (done.receipt.removed.ids, done.receipt.removed.samples) == (4, 2)


def _worker(resources: Resources) -> Erasures:
    stores = resources.postgres, resources.clickhouse
    return Erasures(
        *stores, resources.secrets, resources.identity_links, elsewhere={"exports": resources.exports.remove_with}
    )


async def test_a_computation_that_read_the_person_before_may_write_them_and_is_waited_for(
    resources: Resources, tenant: Tenant
):
    await live(resources, tenant)
    number = await number_of(resources, WHOLE)
    await resources.postgres.execute("UPDATE computations SET status = 'running' WHERE id = 3")
    requested = await resources.erasures.request(tenant, WHOLE)
    while not await resources.postgres.fetchval("SELECT progress ->> 'awaited' = '[\"computation 3\"]' FROM erasures"):
        await resources.erasures.run_next()
    await resources.clickhouse.execute(WRITE, {"tenant": tenant.id, "number": number}, purpose="compute")
    assert await strays(resources)
    await resources.postgres.execute("UPDATE erasures SET lease_until = now()")
    await resources.erasures.run_next()
    assert (await resources.erasures.get(tenant, requested.id)).status == "queued"

    await resources.postgres.execute("UPDATE computations SET status = 'done' WHERE id = 3")

    assert (await erased(resources, tenant, requested)).status == "done"
    assert await traces(resources) == set()
    assert not await strays(resources)


WRITE = """
INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
SELECT {tenant:UInt32}, 1, generateUUIDv4(), groupBitmapState({number:UInt32})"""


async def number_of(resources: Resources, user_id: str) -> int:
    sql = "SELECT number FROM user_numbers WHERE user_id = {user:String}"
    return (await resources.clickhouse.fetch(sql, {"user": user_id}, purpose="catalog")).rows[0][0]


async def strays(resources: Resources) -> int:
    """How many sets, of members or of changes, have numbers that are nobody's."""
    numbers = "(SELECT groupBitmapState(number) FROM user_numbers)"
    counts = [
        f"(SELECT countIf(bitmapAndnotCardinality({column}, {numbers}) > 0) FROM {table})"
        for table, column in (("segment_states", "members"), ("segment_deltas", "entered"), ("segment_deltas", "gone"))
    ]
    return (await resources.clickhouse.fetch(f"SELECT {' + '.join(counts)}", purpose="catalog")).rows[0][0]


async def test_a_computation_that_began_and_ended_while_rows_were_removed_leaves_nobody(
    resources: Resources, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    await live(resources, tenant)
    params = {"tenant": tenant.id, "number": await number_of(resources, WHOLE)}
    remove, written = Traces.remove, list[str]()

    async def and_be_overtaken(self: Traces, table: str) -> None:
        await remove(self, table)
        if table == "user_numbers" and not written:
            written.append(table)
            await resources.clickhouse.execute(WRITE, params, purpose="compute")

    monkeypatch.setattr(Traces, "remove", and_be_overtaken)
    requested = await resources.erasures.request(tenant, WHOLE)

    assert (await erased(resources, tenant, requested)).status == "done"
    assert written
    assert await traces(resources) == set()
    assert not await strays(resources)


async def test_asking_again_after_a_failure_covers_all_the_ids_that_it_knew(
    resources: Resources, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    await live(resources, tenant)

    async def fail(self: Traces, ids: Sequence[str]) -> None:
        raise ValueError("not today")

    with monkeypatch.context() as patched:
        patched.setattr(Traces, "mark", fail)
        requested = await resources.erasures.request(tenant, WHOLE)
        async with asyncio.timeout(60):
            while (await resources.erasures.get(tenant, requested.id)).status != "failed":
                await resources.postgres.execute("UPDATE erasures SET lease_until = now()")
                await resources.erasures.run_next()

    again = await resources.erasures.request(tenant, "anon_zq7-phone")

    assert again.id != requested.id
    done = await erased(resources, tenant, again)
    assert done.receipt is not None
    assert done.receipt.removed.ids == 4
    assert await traces(resources) == set()


async def test_what_is_asked_while_one_is_under_way_covers_what_came_in_between(resources: Resources, tenant: Tenant):
    await live(resources, tenant)
    first = await resources.erasures.request(tenant, WHOLE)
    assert (await resources.erasures.request(tenant, WHOLE)).id == first.id
    await resources.postgres.execute("UPDATE computations SET status = 'running' WHERE id = 3")  # it has to wait
    await resources.erasures.run_next()
    await accept(resources, tenant, {"user_id": WHOLE, "event_type": "came later"})

    second = await resources.erasures.request(tenant, WHOLE)
    await resources.postgres.execute("UPDATE computations SET status = 'done' WHERE id = 3")
    for each in (first, second):
        assert (await erased(resources, tenant, each)).status == "done"
    await forward(resources)

    assert second.id != first.id
    assert await traces(resources) == set()


async def test_answers_kept_for_repetitions_are_forgotten_with_a_person(
    resources: Resources, tenant: Tenant, other_tenant: Tenant
):
    kept, lease = resources.idempotency, {"lease": timedelta(seconds=60)}
    answer = Answer(200, (), f'{{"user_id": "{WHOLE}"}}'.encode())

    async def begin(key: str, *, asks: bool = False, of: Tenant = tenant) -> Claim | Answer:
        return await kept.begin(of, key, b"print", asks=asks, **lease)

    async def answered(key: str, *, asks: bool = False, of: Tenant = tenant) -> None:
        claim = await begin(key, asks=asks, of=of)
        assert isinstance(claim, Claim)
        await kept.keep(claim, answer)

    await answered("asked", asks=True)
    await answered("done")
    await answered("another's", of=other_tenant)
    under_way = await begin("under way", asks=True)
    done = await erased(resources, tenant, await resources.erasures.request(tenant, WHOLE))
    assert isinstance(under_way, Claim)
    await kept.keep(under_way, answer)

    assert done.receipt is not None
    assert done.receipt.removed.elsewhere["answers"] == 2
    assert isinstance(await begin("asked", asks=True), Claim)
    assert isinstance(await begin("under way", asks=True), Claim)
    with pytest.raises(Conflict) as refused:
        await begin("done")
    assert refused.value.code == "idempotency_answer_not_kept"
    assert await begin("another's", of=other_tenant) == answer


async def test_values_of_a_person_of_many_events_leave_the_catalog_a_page_of_events_at_a_time(
    resources: Resources, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("segment_copilot.people.traces._PAGE", 7)
    theirs = [
        {"user_id": WHOLE, "event_type": "bought", "payload": {"n": {"o.": n}, "price": n + 0.5}} for n in range(60)
    ]
    alike = [{"user_id": "anon_zq7-phone", "event_type": "bought", "payload": {"price": 1}} for _ in range(30)]
    linked = {"user_id": WHOLE, "anonymous_id": "zq7-phone", "event_type": "came", "payload": {"n": True}}
    others = {"user_id": "other", "event_type": "bought", "payload": {"n": {"o.": 3}, "price": 4.5}}
    at = {"occurred_at": NOW.isoformat()}
    await accept(resources, tenant, *({**event, **at} for event in (linked, *theirs, *alike, others)))
    await forward(resources)
    shown = (await resources.discovery.catalog(tenant, fresh=True)).event_types["bought"].properties
    assert [len(shown[path].samples) for path in ("n.o\\.", "price")] == [50, 50]

    done = await erased(resources, tenant, await resources.erasures.request(tenant, WHOLE))

    shown = (await resources.discovery.catalog(tenant, fresh=True)).event_types["bought"].properties
    assert [shown[path].samples for path in ("n.o\\.", "price")] == [(3,), (4.5,)]
    assert done.receipt is not None
    assert done.receipt.removed.samples == 49 + 49 + 1
