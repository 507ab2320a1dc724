from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.pages import MAX_CURSOR
from segment_copilot.audiences.removals import Removals
from segment_copilot.audiences.segments import Changes, Segment
from segment_copilot.errors import Gone, InvalidInput, NotFound, Unavailable
from segment_copilot.resources import Resources
from segment_copilot.stores.clickhouse import open_clickhouse
from segment_copilot.stores.merging import DISTINCT
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)
BUYERS = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}],
}


async def buyers(resources: Resources, tenant: Tenant) -> Segment:
    return (await resources.segments.create(tenant, name="Buyers", definition=BUYERS)).segment


async def claim(resources: Resources) -> Any:
    """What a worker that then dies, or is slow, holds."""
    (claimed,) = await resources.computations._claim()
    await resources.computations._leases.begin([claimed.lease])
    return claimed


async def compute(resources: Resources, tenant: Tenant, segment: Segment, as_of=NOW) -> Segment:
    await resources.computations.request(tenant, segment.id, as_of=as_of)
    assert await resources.computations.run_next()
    return await resources.segments.get(tenant, segment.id)


async def last_computation(resources: Resources) -> Any:
    return await resources.postgres.fetchrow("SELECT * FROM computations ORDER BY id DESC LIMIT 1")


async def test_a_computation_publishes_members_and_counts_entered_and_left(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", 2 * DAY, {}), ("ben", "order_placed", 6 * DAY, {})])

    first = await compute(resources, tenant, segment)
    await remember(tenant, [("cai", "order_placed", NOW + DAY, {})])
    second = await compute(resources, tenant, segment, NOW + 3 * DAY)

    assert (first.status, first.member_count, first.last_computed_at) == ("computed", 2, NOW)
    assert (second.status, second.member_count) == ("computed", 2)
    row = await last_computation(resources)
    assert (row["entered"], row["left_count"]) == (1, 1)
    members = await resources.members.page(tenant, segment.id)
    assert [member.user_id for member in members.members] == ["ana", "cai"]


async def test_a_preview_and_a_computation_at_the_same_instant_agree(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [(f"user-{n}", "order_placed", n * DAY / 10, {}) for n in range(150)])

    preview = await resources.previews.preview(tenant, BUYERS, as_of=NOW, limit=1000)
    computed = await compute(resources, tenant, segment, preview.as_of)
    members = await resources.members.page(tenant, segment.id, limit=1000)

    assert computed.member_count == preview.matched_users == 71
    assert tuple(member.user_id for member in members.members) == preview.sample_user_ids


async def test_members_are_paged_by_a_cursor_that_stays_on_its_computation(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in "abcde"])
    await compute(resources, tenant, segment)

    first = await resources.members.page(tenant, segment.id, limit=2)
    await compute(resources, tenant, segment, NOW + 30 * DAY)  # now empty, and the reader is not disturbed
    second = await resources.members.page(tenant, segment.id, limit=2, cursor=first.cursor)
    third = await resources.members.page(tenant, segment.id, limit=2, cursor=second.cursor)

    pages = [[member.user_id for member in page.members] for page in (first, second, third)]
    assert pages == [["a", "b"], ["c", "d"], ["e"]]
    assert third.cursor is None
    with pytest.raises(InvalidInput):
        await resources.members.page(tenant, segment.id, cursor="made-up")


async def runs_kept(resources: Resources) -> int:
    sql = "SELECT DISTINCT run_id FROM segment_states"
    return len((await resources.clickhouse.fetch(sql, purpose="catalog", merge=DISTINCT)).rows)


async def test_a_cursor_reads_one_state_to_its_end_or_says_that_it_expired(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in "abcde"])
    await compute(resources, tenant, segment)
    first = await resources.members.page(tenant, segment.id, limit=2)

    await remember(tenant, [("aa", "order_placed", DAY, {})])
    await compute(resources, tenant, segment, NOW + DAY)
    await resources.removals.remove_due()
    second = await resources.members.page(tenant, segment.id, limit=2, cursor=first.cursor)
    newer = await resources.members.page(tenant, segment.id, limit=2)

    assert [(member.user_id, member.computed_at) for member in second.members] == [("c", NOW), ("d", NOW)]
    assert [(member.user_id, member.computed_at) for member in newer.members] == [("a", NOW + DAY), ("aa", NOW + DAY)]
    assert (second.count, newer.count) == (5, 6)

    await compute(resources, tenant, segment, NOW + 2 * DAY)
    for _ in range(2):  # before it is removed, and after
        third = await resources.members.page(tenant, segment.id, limit=2, cursor=second.cursor)
        assert ([member.user_id for member in third.members], third.count, third.cursor) == (["e"], 5, None)
        assert await resources.removals.remove_due() is False
    assert await runs_kept(resources) == 2
    third = await resources.members.page(tenant, segment.id, limit=2, cursor=newer.cursor)
    assert [member.user_id for member in third.members] == ["b", "c"]

    await compute(resources, tenant, segment, NOW + 3 * DAY)
    await resources.postgres.execute("UPDATE computations SET finished_at = finished_at - interval '91 days'")
    with pytest.raises(Gone) as expired:
        await resources.members.page(tenant, segment.id, limit=2, cursor=second.cursor)
    assert expired.value.code == "cursor_expired"


async def test_a_run_that_goes_while_a_page_of_it_is_read_is_never_a_short_page(
    resources: Resources, tenant: Tenant, remember: Remember, monkeypatch: pytest.MonkeyPatch
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in "abcde"])
    await compute(resources, tenant, segment)
    first = await resources.members.page(tenant, segment.id, limit=2)
    reading = resources.reading
    fetch, times = reading.fetch, iter(range(1, 3))

    async def fetch_late(*args: Any, **options: Any) -> Any:
        """As if this reader were slow: two computations are published before its query runs."""
        if "OFFSET" in args[0]:
            for day in times:
                await compute(resources, tenant, segment, NOW + day * DAY)
            await resources.removals.remove_due()
        return await fetch(*args, **options)

    monkeypatch.setattr(reading, "fetch", fetch_late)
    second = await resources.members.page(tenant, segment.id, limit=2, cursor=first.cursor)
    assert [(member.user_id, member.computed_at) for member in second.members] == [("c", NOW), ("d", NOW)]
    times = iter(range(3, 5))
    begun = await resources.members.page(tenant, segment.id, limit=2)  # begins again, on the newest

    assert [(member.user_id, member.computed_at) for member in begun.members] == [
        ("a", NOW + 4 * DAY),
        ("b", NOW + 4 * DAY),
    ]


async def test_a_cursor_of_anything_else_is_refused(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment, another = await buyers(resources, tenant), await buyers(resources, tenant)
    theirs = await buyers(resources, other_tenant)
    longest = ["\U0001f600" * 255 + end for end in "ab"]
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in longest])
    for one in (segment, another):
        await compute(resources, tenant, one)
    cursor = (await resources.members.page(tenant, segment.id, limit=1)).cursor
    assert cursor is not None
    assert len(cursor) <= MAX_CURSOR

    forged = [cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :] for place in (0, 30, 80)]
    for id_, of, written in [
        (another.id, tenant, cursor),
        (theirs.id, other_tenant, cursor),
        *((segment.id, tenant, one) for one in (*forged, cursor[:-4], "", "made-up", "é", "=", cursor + "A" * 4)),
    ]:
        if written:
            with pytest.raises(InvalidInput) as refused:
                await resources.members.page(of, id_, cursor=written)
            assert refused.value.code == refused.value.findings[0].code == "bad_cursor"
    assert len((await resources.members.page(tenant, segment.id, cursor=cursor)).members) == 1


async def test_old_runs_of_many_segments_are_removed_by_one_statement(
    resources: Resources, tenant: Tenant, remember: Remember, monkeypatch: pytest.MonkeyPatch
):
    saved = [await buyers(resources, tenant) for _ in range(5)]
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    for day in range(4):
        await resources.computations.request_all(tenant, as_of=NOW + day * DAY)
        while await resources.computations.run_next():
            pass
    before = await runs_kept(resources)
    execute, statements = resources.clickhouse.execute, list[str]()

    async def watched(sql: str, *args: Any, **options: Any) -> None:
        statements.append(sql)
        await execute(sql, *args, **options)

    monkeypatch.setattr(resources.clickhouse, "execute", watched)
    await resources.removals.remove_due()

    assert (before, await runs_kept(resources), len(statements)) == (20, 10, 1)
    assert [await members_of(resources, tenant, segment) for segment in saved] == [["ana"]] * 5
    assert await resources.postgres.fetchval("SELECT count(*) FROM member_removals") == 0
    await resources.removals.remove_due()
    assert len(statements) == 1


async def test_a_run_that_is_being_written_is_not_removed(resources: Resources, tenant: Tenant, remember: Remember):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    for day in range(3):
        await compute(resources, tenant, segment, NOW + day * DAY)
    await resources.computations.request(tenant, segment.id, as_of=NOW + 3 * DAY)
    working = await claim(resources)
    compiled = await resources.computations._compile(working)
    query = compiler.render_membership_insert(
        compiled.plan, segment_id=segment.id, run_id=working.run_id, keys=compiled.ranges[0]
    )
    await resources.clickhouse.execute(query.sql, query.params, purpose="compute")

    await resources.removals.remove_due()
    await resources.computations._compare_and_publish(working)

    assert await members_of(resources, tenant, segment) == ["ana"]


async def test_a_segment_deleted_while_clickhouse_is_away_leaves_no_members_behind(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    kept, gone = await buyers(resources, tenant), await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    for segment in (kept, gone):
        await compute(resources, tenant, segment)
    async with open_clickhouse("clickhouse://app:x@127.0.0.1:1/nowhere") as away:
        cut_off = Removals(resources.postgres, away)
        await resources.segments.delete(tenant, gone.id)
        with pytest.raises(NotFound):
            await resources.segments.get(tenant, gone.id)
        for _ in range(4):
            with pytest.raises(Unavailable):
                await cut_off.remove_due()
            await resources.postgres.execute("UPDATE member_removals SET lease_until = NULL")
    assert await runs_kept(resources) == 2

    await resources.removals.remove_due()

    assert await runs_kept(resources) == 1
    assert await members_of(resources, tenant, kept) == ["ana"]
    await resources.segments.delete_all(tenant)
    await resources.removals.remove_due()
    assert await runs_kept(resources) == 0


async def test_a_segment_deleted_while_it_is_computed_leaves_no_members_behind(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    working = await claim(resources)
    await resources.segments.delete(tenant, segment.id)
    await resources.removals.remove_due()

    await resources.computations._compute(working)
    assert await runs_kept(resources) == 1
    await resources.removals.remove_due()

    assert await runs_kept(resources) == 0
    later = "SELECT lease_until > now() + interval '5 minutes' FROM member_removals"  # had its worker died there
    assert await resources.postgres.fetchval(later)


async def test_the_segments_of_one_user(resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {}), ("ben", "order_placed", 9 * DAY, {})])
    await compute(resources, tenant, segment)

    assert [found.segment_id for found in await resources.members.segments_of_user(tenant, "ana")] == [segment.id]
    assert await resources.members.segments_of_user(tenant, "ben") == ()
    assert await resources.members.segments_of_user(other_tenant, "ana") == ()


async def test_a_second_request_joins_the_queued_one(resources: Resources, tenant: Tenant):
    segment = await buyers(resources, tenant)

    first = await resources.computations.request(tenant, segment.id)
    second = await resources.computations.request(tenant, segment.id)

    assert first == second
    assert (await resources.segments.get(tenant, segment.id)).status == "queued"


async def test_a_failed_computation_keeps_the_last_good_members(
    resources: Resources, tenant: Tenant, remember: Remember
):
    """A segment refers to one that is then made to refer to something unreadable: the run fails and says why."""
    target = await buyers(resources, tenant)
    inside = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": target.id}]}
    segment = (await resources.segments.create(tenant, name="Inside", definition=inside)).segment
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await compute(resources, tenant, segment)
    await resources.postgres.execute("DELETE FROM segment_references")
    await resources.segments.delete(tenant, target.id)

    failed = await compute(resources, tenant, segment)

    assert failed.last_error is not None
    assert (failed.status, failed.member_count, failed.last_error.code) == ("failed", 1, "invalid_definition")
    members = await resources.members.page(tenant, segment.id)
    assert [member.user_id for member in members.members] == ["ana"]


async def test_a_computation_whose_worker_died_is_taken_over_and_counted_once(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    dead = await claim(resources)
    expire = "UPDATE computations SET lease_until = now() - interval '1 second'"
    await resources.postgres.execute(expire)

    assert await resources.computations.run_next()
    await resources.computations._compute(dead)  # the first worker was only slow, and comes back

    assert (await resources.segments.get(tenant, segment.id)).member_count == 1
    members = await resources.members.page(tenant, segment.id)
    assert [member.user_id for member in members.members] == ["ana"]


async def test_a_computation_that_kills_its_worker_three_times_is_over(resources: Resources, tenant: Tenant):
    segment = await buyers(resources, tenant)
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    for _ in range(3):
        await claim(resources)
        await resources.postgres.execute("UPDATE computations SET lease_until = now() - interval '1 second'")

    assert await resources.computations.run_next() is False

    failed = await resources.segments.get(tenant, segment.id)
    assert failed.last_error is not None
    assert (failed.status, failed.last_error.code) == ("failed", "computation_crashed")


async def test_an_older_computation_does_not_overtake_a_newer_one(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await resources.computations.request(tenant, segment.id, as_of=NOW)
    await resources.computations.request(tenant, segment.id, as_of=NOW + 30 * DAY)
    first, second = await claim(resources), await claim(resources)

    await resources.computations._compute(second)
    await resources.computations._compute(first)

    assert (await resources.segments.get(tenant, segment.id)).member_count == 0


async def test_many_workers_share_the_queue(resources: Resources, tenant: Tenant, remember: Remember):
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    saved = [await buyers(resources, tenant) for _ in range(6)]
    for minute, segment in enumerate(saved):
        await resources.computations.request(tenant, segment.id, as_of=NOW + timedelta(minutes=minute))

    worked = await asyncio.gather(*(resources.computations.run_next() for _ in range(9)))

    assert sorted(worked) == [False] * 3 + [True] * 6
    page = await resources.segments.list(tenant)
    assert {segment.member_count for segment in page.results} == {1}


VIEWERS = {"logic": "OR", "conditions": [{"type": "event_count", "event_type": "page_viewed"}, *BUYERS["conditions"]]}
NEVER_BOUGHT = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0}],
}
OLD_BUYERS = {
    "logic": "AND",
    "conditions": [{"type": "recency", "event_type": "order_placed", "operator": "gt", "window_days": 7}],
}
ALL = [BUYERS, VIEWERS, NEVER_BOUGHT, OLD_BUYERS]
EVENTS = [
    ("ana", "order_placed", DAY, {}),
    ("ben", "order_placed", 20 * DAY, {}),
    ("cai", "page_viewed", DAY, {}),
    ("dan", "signed_up", DAY, {}),
]


async def members_of(resources: Resources, tenant: Tenant, segment: Segment) -> list[str]:
    found = await resources.members.page(tenant, segment.id)
    return [member.user_id for member in found.members]


@pytest.fixture
async def saved(resources: Resources, tenant: Tenant, remember: Remember) -> list[Segment]:
    await remember(tenant, EVENTS)
    created = [
        await resources.segments.create(tenant, name=str(index), definition=one) for index, one in enumerate(ALL)
    ]
    return [one.segment for one in created]


async def test_all_segments_of_a_tenant_are_computed_together_as_one_by_one(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    for segment in saved:
        await compute(resources, tenant, segment)
    alone = [await members_of(resources, tenant, segment) for segment in saved]

    assert await resources.computations.request_all(tenant, as_of=NOW) == (len(saved), NOW)
    assert await resources.computations.run_next()
    assert not await resources.computations.run_next()

    assert [await members_of(resources, tenant, segment) for segment in saved] == alone
    assert alone == [["ana"], ["ana", "cai"], ["cai", "dan"], ["ben"]]
    rows = await resources.postgres.fetch(
        "SELECT status, entered, left_count FROM computations ORDER BY id DESC LIMIT 4"
    )
    assert [(row["status"], row["entered"], row["left_count"]) for row in rows] == [("done", 0, 0)] * 4


async def test_of_segments_computed_together_one_that_cannot_be_fails_alone(
    resources: Resources, tenant: Tenant, saved: list[Segment]
):
    broken = '{"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": 999999}]}'
    sql = "UPDATE segment_versions SET definition = $2 WHERE segment_id = $1"
    await resources.postgres.execute(sql, saved[1].id, broken)

    await resources.computations.request_all(tenant, as_of=NOW)
    assert await resources.computations.run_next()

    states = [await resources.segments.get(tenant, segment.id) for segment in saved]
    assert [state.status for state in states] == ["computed", "failed", "computed", "computed"]
    assert [state.member_count for state in states] == [1, None, 2, 1]


async def test_what_cannot_be_computed_together_is_computed_one_by_one(
    resources: Resources, tenant: Tenant, saved: list[Segment], monkeypatch: pytest.MonkeyPatch
):
    script = resources.clickhouse.script

    async def script_that_stops_halfway(statements: Any, *, purpose: Any) -> None:
        *first, _, _ = statements
        await script(
            [*first, ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 1000000", {})],
            purpose=purpose,
        )

    monkeypatch.setattr(resources.clickhouse, "script", script_that_stops_halfway)
    await resources.computations.request_all(tenant, as_of=NOW)
    assert await resources.computations.run_next()

    assert [await members_of(resources, tenant, segment) for segment in saved] == [
        ["ana"], ["ana", "cai"], ["cai", "dan"], ["ben"],
    ]  # fmt: skip


async def test_the_trend_has_the_last_count_of_each_local_day(resources: Resources, tenant: Tenant, remember: Remember):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", 3 * DAY, {}), ("ben", "order_placed", 1 * DAY, {})])
    instants = [NOW - n * DAY for n in range(5, 0, -1)] + [NOW - 1 * DAY + timedelta(hours=1)]

    await resources.computations.backfill(tenant, segment.id, instants)
    trend = await resources.members.trend(tenant, segment.id, days=5, as_of=NOW)

    assert [(point.day.day, point.count) for point in trend] == [(11, 0), (12, 1), (13, 1), (14, 2)]


async def test_a_new_definition_is_a_new_version_and_is_not_computed(
    resources: Resources, tenant: Tenant, remember: Remember
):
    segment = await buyers(resources, tenant)
    await remember(tenant, [("ana", "order_placed", DAY, {})])
    await compute(resources, tenant, segment)
    other = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "never"}]}

    changed = (await resources.segments.update(tenant, segment.id, Changes(definition=other))).segment

    assert (changed.version, changed.member_count) == (2, 1)
    assert (await compute(resources, tenant, changed)).member_count == 0
