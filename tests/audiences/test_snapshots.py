"""Snapshots are frozen: whatever becomes of their segment, of the worker that takes them, or of other snapshots."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.exports import Source
from segment_copilot.audiences.segments import Changes, Segment
from segment_copilot.audiences.snapshots import Comparison, Side, Snapshot
from segment_copilot.errors import Conflict, InvalidInput, NotFound
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember, remembering

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
LOOKERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "page_viewed"}]}


@pytest.fixture(scope="module")
async def remember(module_resources: Resources) -> Remember:
    return remembering(module_resources)


@pytest.fixture(scope="module")
async def tenant(module_resources: Resources, remember: Remember) -> Tenant:
    """Each day another one buys, and looks the day after."""
    tenant = await module_resources.tenants.create("acme")
    await remember(tenant, [(f"user-{n:02}", "order_placed", timedelta(days=30 - n), {}) for n in range(30)])
    await remember(tenant, [(f"user-{n:02}", "page_viewed", timedelta(days=29 - n), {}) for n in range(29)])
    return tenant


@pytest.fixture(scope="module")
async def other_tenant(module_resources: Resources) -> Tenant:
    return await module_resources.tenants.create("rival")


@pytest.fixture
async def resources(module_resources: Resources) -> AsyncGenerator[Resources]:
    """What the module shares, without snapshots and members of tests before."""
    yield module_resources
    await module_resources.postgres.execute(
        "TRUNCATE exports, export_chunks, snapshots, segments, member_removals CASCADE"
    )
    for table in ("segment_states", "snapshot_members"):
        await module_resources.clickhouse.execute(f"TRUNCATE TABLE {table}", purpose="migrate")


@pytest.fixture
async def segment(resources: Resources, tenant: Tenant) -> Segment:
    """All buyers, computed ten days ago."""
    saved = (await resources.segments.create(tenant, name="Buyers", definition=BUYERS)).segment
    await compute(resources, tenant, saved, days_ago=10)
    return saved


async def compute(resources: Resources, tenant: Tenant, segment: Segment, *, days_ago: int) -> None:
    await resources.computations.request(tenant, segment.id, as_of=NOW - timedelta(days=days_ago))
    assert await resources.computations.run_next()


async def taken(
    resources: Resources, tenant: Tenant, segment: Segment, *, days_ago: int | None = None, name: str = "Kept"
) -> Snapshot:
    as_of = None if days_ago is None else NOW - timedelta(days=days_ago)
    asked = await resources.snapshots.request(tenant, segment.id, name=name, as_of=as_of)
    assert asked.status == "pending"
    assert await resources.snapshots.run_next()
    return await resources.snapshots.get(tenant, asked.id)


async def members(resources: Resources, tenant: Tenant, snapshot: Snapshot) -> list[str]:
    page = await resources.snapshots.members(tenant, snapshot.id, Window(100))
    assert {member.computed_at for member in page.results} <= {snapshot.as_of}
    assert page.count == snapshot.member_count == len(page.results)
    return [member.user_id for member in page.results]


def users(*numbers: int) -> list[str]:
    return [f"user-{number:02}" for number in numbers]


async def stored(resources: Resources, table: str = "snapshot_members") -> int:
    return (await resources.clickhouse.fetch(f"SELECT count() FROM {table}", purpose="catalog")).rows[0][0]


async def lapse(resources: Resources) -> None:
    """As if the time of every lease and pause had come."""
    await resources.postgres.execute("UPDATE snapshots SET lease_until = now() WHERE lease_until > now()")


async def test_a_snapshot_is_of_the_published_members(resources: Resources, tenant: Tenant, segment: Segment):
    await resources.segments.update(tenant, segment.id, Changes(definition=LOOKERS))  # not computed yet

    snapshot = await taken(resources, tenant, segment)

    assert await members(resources, tenant, snapshot) == users(*range(21))
    assert (snapshot.status, snapshot.name, snapshot.segment_id) == ("complete", "Kept", segment.id)
    assert (snapshot.as_of, snapshot.version) == (NOW - timedelta(days=10), 1)
    assert snapshot.definition == segment.definition
    assert snapshot.finished_at is not None


async def test_a_snapshot_of_another_instant_is_evaluated_there(resources: Resources, tenant: Tenant):
    segment = (await resources.segments.create(tenant, name="Never computed", definition=BUYERS)).segment

    snapshot = await taken(resources, tenant, segment, days_ago=25)

    assert await members(resources, tenant, snapshot) == users(*range(6))
    assert (snapshot.as_of, snapshot.version) == (NOW - timedelta(days=25), 1)
    assert await stored(resources, "segment_states") == 0


async def test_neither_a_computation_nor_the_end_of_the_segment_changes_it(
    resources: Resources, tenant: Tenant, segment: Segment
):
    snapshot = await taken(resources, tenant, segment)
    waiting = await resources.snapshots.request(tenant, segment.id, name="Taken after the end")

    for _ in range(2):
        await compute(resources, tenant, segment, days_ago=1)
    await resources.removals.remove_due()
    await resources.segments.delete(tenant, segment.id)
    await resources.removals.remove_due()
    assert await resources.snapshots.run_next()
    await resources.removals.remove_due()

    for one in (snapshot, await resources.snapshots.get(tenant, waiting.id)):
        assert await members(resources, tenant, one) == users(*range(21))
    assert await stored(resources, "segment_states") == 0
    assert [one.id for one in (await resources.snapshots.list(tenant, segment_id=segment.id)).results] == [
        snapshot.id,
        waiting.id,
    ]


@pytest.mark.parametrize("days_ago", [None, 25])
async def test_when_its_worker_dies_another_takes_it_once(
    resources: Resources, tenant: Tenant, segment: Segment, days_ago: int | None
):
    """It dies after its INSERT."""
    as_of = None if days_ago is None else NOW - timedelta(days=days_ago)
    asked = await resources.snapshots.request(tenant, segment.id, name="Kept", as_of=as_of)
    claim = await resources.snapshots._jobs._claim()
    assert claim is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(resources.snapshots), "_publish", dies)
        with pytest.raises(KeyboardInterrupt):
            await resources.snapshots._jobs._settle(claim)
    half_way = await stored(resources)
    with pytest.raises(Conflict) as pending:
        await resources.snapshots.members(tenant, asked.id)
    await lapse(resources)

    assert await resources.snapshots.run_next()

    snapshot = await resources.snapshots.get(tenant, asked.id)
    assert pending.value.code == "snapshot_not_complete"
    assert half_way == snapshot.member_count == (21 if days_ago is None else 6)
    assert len(await members(resources, tenant, snapshot)) == await stored(resources) == half_way


async def dies(*_: object) -> None:
    raise KeyboardInterrupt


async def test_what_cannot_be_evaluated_any_more_fails_and_says_why(resources: Resources, tenant: Tenant):
    segment = (await resources.segments.create(tenant, name="Buyers", definition=BUYERS)).segment
    asked = await resources.snapshots.request(tenant, segment.id, name="Kept", as_of=NOW)
    gone = '{"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": 99999}]}'
    await resources.postgres.execute("UPDATE snapshots SET definition = $1", gone)

    assert await resources.snapshots.run_next()

    failed = await resources.snapshots.get(tenant, asked.id)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == ("failed", "invalid_definition")


@pytest.mark.parametrize("size", [1, 4, 21, 50])
async def test_pages_of_members_go_on_by_cursor_and_by_offset(
    resources: Resources, tenant: Tenant, segment: Segment, size: int
):
    snapshot = await taken(resources, tenant, segment)
    by_cursor, by_offset, cursor = list[str](), list[str](), None
    while True:
        page = await resources.snapshots.members(tenant, snapshot.id, Window(size, cursor=cursor))
        by_cursor += [one.user_id for one in page.results]
        if (cursor := page.cursor) is None:
            break
    while len(by_offset) < page.count:
        page = await resources.snapshots.members(tenant, snapshot.id, Window(size, len(by_offset)))
        by_offset += [one.user_id for one in page.results]

    assert by_cursor == by_offset == users(*range(21))


async def test_two_snapshots_are_compared(resources: Resources, tenant: Tenant, segment: Segment):
    lookers = (await resources.segments.create(tenant, name="Lookers", definition=LOOKERS)).segment
    a = await taken(resources, tenant, segment)  # 0 … 20
    b = await taken(resources, tenant, lookers, days_ago=5)  # 0 … 24
    c = await taken(resources, tenant, segment, days_ago=25)  # 0 … 5

    async def compared(one: Snapshot, other: Snapshot, side: Side) -> tuple[Comparison, list[str]]:
        found, cursor = list[str](), None
        while True:
            window = Window(4, cursor=cursor)
            comparison = await resources.snapshots.compare(tenant, one.id, other.id, window, side=side)
            found += comparison.users.results
            if (cursor := comparison.users.cursor) is None:
                return comparison, found

    sides: tuple[Side, ...] = ("only_in_a", "only_in_b", "in_both")
    for one, other, lists in [
        (a, b, (users(), users(*range(21, 25)), users(*range(21)))),
        (b, a, (users(*range(21, 25)), users(), users(*range(21)))),
        (a, c, (users(*range(6, 21)), users(), users(*range(6)))),
        (a, a, (users(), users(), users(*range(21)))),
    ]:
        for side, expected in zip(sides, lists, strict=True):
            comparison, found = await compared(one, other, side)
            assert found == expected
            assert comparison.users.count == len(expected)
            assert (comparison.only_in_a, comparison.only_in_b, comparison.in_both) == tuple(map(len, lists))
    page = await resources.snapshots.compare(tenant, a.id, c.id, Window(4))
    with pytest.raises(InvalidInput) as foreign:
        await resources.snapshots.compare(tenant, a.id, b.id, Window(4, cursor=page.users.cursor))
    assert foreign.value.code == "bad_cursor"


async def test_a_snapshot_is_exported_and_its_files_go_with_it(resources: Resources, tenant: Tenant, segment: Segment):
    snapshot = await taken(resources, tenant, segment)
    source = Source("snapshot", snapshot.id)
    await resources.segments.delete(tenant, segment.id)
    asked = await resources.exports.request(tenant, source, "csv")
    assert await resources.exports.run_next()

    _, file = await resources.exports.file(tenant.id, asked.id, now=datetime.now(UTC))
    content = b"".join([part async for part in resources.exports.read(file, 0, file.size)]).decode()
    listed = (await resources.exports.list(tenant, source)).results
    await resources.snapshots.delete(tenant, snapshot.id)

    instant = "2026-06-05T12:00:00Z"
    assert content.split() == ["user_id,computed_at", *(f"{user},{instant}" for user in users(*range(21)))]
    assert [one.id for one in listed] == [asked.id]
    assert await resources.postgres.fetchval("SELECT count(*) FROM export_chunks") == 0
    with pytest.raises(NotFound):
        await resources.exports.request(tenant, source, "csv")


async def test_a_deleted_snapshot_is_gone_at_once_and_its_members_when_the_worker_comes(
    resources: Resources, tenant: Tenant, segment: Segment
):
    kept = await taken(resources, tenant, segment)
    snapshot = await taken(resources, tenant, segment)
    running = await resources.snapshots.request(tenant, segment.id, name="Still running")
    claim = await resources.snapshots._jobs._claim()
    assert claim is not None

    for one in (snapshot, running):
        await resources.snapshots.delete(tenant, one.id)
    await resources.snapshots._jobs._settle(claim)  # it finds out when it publishes
    gone: list[Callable[[], Any]] = [
        lambda: resources.snapshots.get(tenant, snapshot.id),
        lambda: resources.snapshots.members(tenant, snapshot.id),
        lambda: resources.snapshots.compare(tenant, kept.id, snapshot.id),
        lambda: resources.snapshots.delete(tenant, snapshot.id),
        lambda: resources.exports.list(tenant, Source("snapshot", snapshot.id)),
    ]
    for attempt in gone:
        with pytest.raises(NotFound):
            await attempt()
    assert [one.id for one in (await resources.snapshots.list(tenant)).results] == [kept.id]
    assert await resources.snapshots.remove_due()
    assert not await resources.snapshots.remove_due()  # the other one waits for whoever may be writing still
    await lapse(resources)
    assert await resources.snapshots.remove_due()

    assert await members(resources, tenant, kept) == users(*range(21))
    assert await stored(resources) == 21
    assert await resources.postgres.fetchval("SELECT count(*) FROM snapshots") == 1


async def test_after_the_erasure_of_a_user_members_are_counted_again(
    resources: Resources, tenant: Tenant, segment: Segment
):
    snapshot = await taken(resources, tenant, segment)
    early = await taken(resources, tenant, segment, days_ago=30)  # user-00 alone
    other = await taken(resources, tenant, segment, days_ago=99)  # nobody
    erased = "ALTER TABLE snapshot_members DELETE WHERE user_id = 'user-00' SETTINGS mutations_sync = 2"
    await resources.clickhouse.execute(erased, purpose="migrate")

    changed = await resources.snapshots.recount(tenant.id, ["user-00"])

    counts = [(await resources.snapshots.get(tenant, one.id)).member_count for one in (snapshot, early, other)]
    assert (early.member_count, other.member_count) == (1, 0)
    assert (changed, counts) == (2, [20, 0, 0])


async def test_all_snapshots_of_a_tenant_can_go(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember, segment: Segment
):
    await remember(other_tenant, [("theirs", "order_placed", timedelta(days=99), {})])
    theirs = (await resources.segments.create(other_tenant, name="Buyers", definition=BUYERS)).segment
    kept = await taken(resources, other_tenant, theirs, days_ago=1)
    await taken(resources, tenant, segment)

    await resources.snapshots.delete_all(tenant)

    assert (await resources.snapshots.list(tenant)).count == 0
    assert await members(resources, other_tenant, kept) == ["theirs"]
    assert await stored(resources) == 1


async def test_what_cannot_be_frozen_is_refused(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, segment: Segment
):
    fresh = (await resources.segments.create(tenant, name="New", definition=BUYERS)).segment
    snapshot = await taken(resources, tenant, segment)

    with pytest.raises(Conflict) as uncomputed:
        await resources.snapshots.request(tenant, fresh.id, name="Kept")
    with pytest.raises(InvalidInput) as to_come:
        await resources.snapshots.request(tenant, fresh.id, name="Kept", as_of=NOW, now=NOW - timedelta(seconds=1))

    draft = (await resources.segments.create(tenant, name="Draft")).segment
    with pytest.raises(Conflict) as undefined:
        await resources.snapshots.request(tenant, draft.id, name="Kept", as_of=NOW)

    with pytest.raises(Conflict) as still_undefined:
        await resources.snapshots.request(tenant, draft.id, name="Kept")

    assert undefined.value.code == still_undefined.value.code == "segment_without_definition"
    assert uncomputed.value.code == "segment_not_computed"
    assert [(one.pointer, one.code) for one in to_come.value.findings] == [("/as_of", "still_to_come")]
    attempts: list[Callable[[], Any]] = [
        lambda: resources.snapshots.request(other_tenant, segment.id, name="Kept"),
        lambda: resources.snapshots.get(other_tenant, snapshot.id),
        lambda: resources.snapshots.members(other_tenant, snapshot.id),
        lambda: resources.snapshots.compare(other_tenant, snapshot.id, snapshot.id),
        lambda: resources.snapshots.delete(other_tenant, snapshot.id),
        lambda: resources.exports.request(other_tenant, Source("snapshot", snapshot.id), "csv"),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            await attempt()
    assert (await resources.snapshots.list(other_tenant)).results == ()
