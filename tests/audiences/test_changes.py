"""The log of who entered and left adds up, whoever computes, and shows nothing that was not published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.changes import MembershipChange
from segment_copilot.audiences.segments import Segment
from segment_copilot.errors import InvalidInput, NotFound
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}


async def buyers(resources: Resources, tenant: Tenant) -> Segment:
    return (await resources.segments.create(tenant, name="Buyers", definition=BUYERS)).segment


async def compute(resources: Resources, tenant: Tenant, segment: Segment, days: int) -> None:
    await resources.computations.request(tenant, segment.id, as_of=NOW + days * DAY)
    assert await resources.computations.run_next()


async def claim(resources: Resources) -> Any:
    """What a worker that is slow holds."""
    (claimed,) = await resources.computations._claim()
    return claimed


async def members(resources: Resources, tenant: Tenant, segment: Segment) -> set[str]:
    return {one.user_id for one in (await resources.members.page(tenant, segment.id, limit=1000)).members}


async def log(resources: Resources, tenant: Tenant, segment: Segment, **options: Any) -> list[tuple[str, str]]:
    page = await resources.changes.page(tenant, segment.id, Window(1000), **options)
    return [(one.user_id, one.change) for one in page.results]


def applied(before: set[str], changes: list[MembershipChange]) -> set[str]:
    """The members after some changes, each of which must be one."""
    after = set(before)
    for one in changes:
        assert (one.user_id in after) == (one.change == "left")
        (after.add if one.change == "entered" else after.remove)(one.user_id)
    return after


async def test_the_members_of_a_state_and_the_changes_after_it_are_the_next_members(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment, another = await buyers(resources, tenant), await buyers(resources, tenant)
    theirs = await buyers(resources, other_tenant)
    users = [(f"user-{n:03}", "order_placed", NOW + n * DAY / 10, {}) for n in range(150)]
    await remember(tenant, users)
    await remember(other_tenant, users[:3])
    state, seen = set[str](), 0
    for days in (3, 9, 1, 14, 30):  # also back in time; at the end nobody
        await resources.computations.request_all(tenant, as_of=NOW + days * DAY)  # all at once …
        await resources.computations.request(other_tenant, theirs.id, as_of=NOW + days * DAY)  # … and one by itself
        while await resources.computations.run_next():
            pass
        page = await resources.changes.page(tenant, segment.id, Window(1000))
        state = applied(state, list(page.results[seen:]))
        assert state == await members(resources, tenant, segment)
        seen = page.count

    assert seen > 200
    assert await log(resources, tenant, another) == await log(resources, tenant, segment)
    assert [one[0] for one in await log(resources, other_tenant, theirs)] == ["user-000", "user-001", "user-002"] * 4


async def test_changes_are_paged_by_offset_and_cursor_over_many_computations(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [(f"user-{n:02}", "order_placed", NOW + n * DAY / 2, {}) for n in range(20)])
    for days in (2, 4, 4, 6, 9, 30):
        await compute(resources, tenant, segment, days)
    whole = (await resources.changes.page(tenant, segment.id, Window(1000))).results

    for size in (1, 3, 7):
        by_offset, by_cursor, cursor = list[MembershipChange](), list[MembershipChange](), None
        for offset in range(0, len(whole), size):
            by_offset += (await resources.changes.page(tenant, segment.id, Window(size, offset))).results
            page = await resources.changes.page(tenant, segment.id, Window(size, cursor=cursor))
            by_cursor, cursor = by_cursor + list(page.results), page.cursor
            assert (page.count, cursor is None) == (len(whole), offset + size >= len(whole))
        assert by_offset == by_cursor == list(whole)

    since = whole[8].at
    later = [one for one in whole if one.at >= since]
    page = await resources.changes.page(tenant, segment.id, since=since)
    assert (page.count, list(page.results)) == (len(later), later)
    assert 0 < len(later) < len(whole)
    assert await log(resources, tenant, segment, since=whole[-1].at + timedelta(microseconds=1)) == []


async def test_a_cursor_of_anything_else_is_refused(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment, another = await buyers(resources, tenant), await buyers(resources, tenant)
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in "abc"])
    await compute(resources, tenant, segment, 0)
    of_changes = (await resources.changes.page(tenant, segment.id, Window(1))).cursor
    of_members = (await resources.members.page(tenant, segment.id, limit=1)).cursor
    assert of_changes
    assert of_members

    for of, id_, cursor in [
        (tenant, another.id, of_changes),
        (other_tenant, segment.id, of_changes),
        (tenant, segment.id, of_members),
        (tenant, segment.id, "made-up"),
    ]:
        with pytest.raises(InvalidInput) as refused:
            await resources.changes.page(of, id_, Window(cursor=cursor))
        assert refused.value.code == "bad_cursor"
    with pytest.raises(InvalidInput):
        await resources.members.page(tenant, segment.id, cursor=of_changes)
    with pytest.raises(NotFound):
        await resources.changes.page(other_tenant, segment.id)


async def test_what_an_overtaken_or_failed_run_wrote_is_never_seen(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {}), ("ben", "order_placed", NOW + 9 * DAY, {})])
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    slow = await claim(resources)
    await compute(resources, tenant, segment, 10)

    await resources.computations._compute(slow)

    assert await log(resources, tenant, segment) == [("ben", "entered")]
    written = "SELECT uniqExact(change_set) FROM membership_changes"
    assert (await resources.clickhouse.fetch(written, purpose="catalog")).rows == [(2,)]
    await resources.removals.remove_due()
    assert (await resources.clickhouse.fetch(written, purpose="catalog")).rows == [(1,)]
    assert await log(resources, tenant, segment) == [("ben", "entered")]
    await resources.segments.delete(tenant, segment.id)
    await resources.removals.remove_due()
    assert (await resources.clickhouse.fetch(written, purpose="catalog")).rows == [(0,)]


async def test_two_computations_at_once_lead_from_one_state_to_the_next(
    resources: Resources, tenant: Tenant, remember: Remember, monkeypatch: pytest.MonkeyPatch
):
    """The second compares with the state before the first, which is published then: it must compare again."""
    segment = await buyers(resources, tenant)
    await remember(tenant, [(name, "order_placed", NOW + n * DAY, {}) for n, name in enumerate("abcdefghijkl")])
    await compute(resources, tenant, segment, 1)
    await resources.computations.request(tenant, segment.id, as_of=NOW + 5 * DAY)
    first = await claim(resources)
    await resources.computations.request(tenant, segment.id, as_of=NOW + 11 * DAY)
    second = await claim(resources)
    write = resources.changes.write

    async def write_late(*args: Any, **options: Any) -> Any:
        """Between the second's comparison and its publication the first is done."""
        monkeypatch.undo()
        found = await write(*args, **options)
        await resources.computations._compute(first)
        return found

    monkeypatch.setattr(resources.changes, "write", write_late)
    await resources.computations._compute(second)

    page = await resources.changes.page(tenant, segment.id)
    assert applied(set(), list(page.results)) == await members(resources, tenant, segment) == set("efghijkl")
    assert ("b", "entered") in [(one.user_id, one.change) for one in page.results[:2]]
    await resources.removals.remove_due()  # what was compared in vain goes
    sets = "SELECT uniqExact(change_set) FROM membership_changes"
    assert (await resources.clickhouse.fetch(sets, purpose="catalog")).rows == [(3,)]


async def test_computations_that_were_over_long_ago_are_forgotten_and_nothing_that_is_read(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment, theirs = await buyers(resources, tenant), await buyers(resources, other_tenant)
    users = [(f"user-{n}", "order_placed", NOW + n * DAY, {}) for n in range(5)]
    await remember(tenant, users)
    await remember(other_tenant, users[:1])
    for days in range(5):  # one more each day
        await compute(resources, tenant, segment, days)
    await compute(resources, other_tenant, theirs, 0)
    ids = [one.id for one in (await resources.computation_records.list(tenant, segment.id, order="id")).results]
    old = "UPDATE computations SET finished_at = finished_at - interval '1 day' * 500 WHERE id <> $1"
    await resources.postgres.execute(old, ids[4])
    activation = """
        INSERT INTO activations (tenant_id, segment_id, connector_type, synced_computation) VALUES ($1, $2, 'webhook', $3)"""
    await resources.postgres.execute(activation, tenant.id, segment.id, ids[1])

    assert not await resources.computation_records.clean_up(before=datetime.now(UTC) - 400 * DAY)
    while await resources.removals.remove_due():
        pass

    left = [one.id for one in (await resources.computation_records.list(tenant, segment.id, order="id")).results]
    assert left == ids[2:]  # what is to be sent, what was published before, and what is
    assert [user for user, _ in await log(resources, tenant, segment)] == ["user-2", "user-3", "user-4"]
    assert await members(resources, tenant, segment) == {one[0] for one in users}
    assert await members(resources, other_tenant, theirs) == {"user-0"}
    kept = "SELECT count() FROM membership_changes WHERE tenant_id = {tenant:UInt32}"
    found = await resources.clickhouse.fetch(kept, {"tenant": tenant.id}, purpose="catalog")
    assert found.rows == [(3,)]
    moved = await resources.movements.between(
        tenant, segment.id, datetime.now(UTC) - 600 * DAY, datetime.now(UTC) + DAY
    )
    assert (moved.entered, moved.first_computed_at) == (3, None)
