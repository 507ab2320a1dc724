"""Static segments get their members by upload, published as those of computations are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.segments import Segment
from segment_copilot.audiences.uploads import Mode, Upload, Uploads
from segment_copilot.compiler import render
from segment_copilot.errors import Conflict, InvalidInput, NotFound, Unavailable
from segment_copilot.lists import Window
from segment_copilot.resources import Resources
from segment_copilot.stores.clickhouse import open_clickhouse
from segment_copilot.stores.merging import DISTINCT, ordered
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)
BUYERS: dict[str, Any] = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}


async def static(resources: Resources, tenant: Tenant, name: str = "List") -> Segment:
    return (await resources.segments.create(tenant, name=name, segment_type="static")).segment


async def run_all(resources: Resources) -> None:
    while await resources.computations.run_next():
        pass


async def upload(resources: Resources, tenant: Tenant, segment: Segment, ids: str, mode: Mode = "replace") -> Upload:
    found = await resources.uploads.receive(tenant, segment.id, list(ids), mode=mode)
    await run_all(resources)
    return found


async def members(resources: Resources, tenant: Tenant, segment: Segment) -> str:
    return "".join(one.user_id for one in (await resources.members.page(tenant, segment.id)).members)


async def count(resources: Resources, tenant: Tenant, segment_id: int, operator: str = "in") -> list[str]:
    """Who a rule that refers to the segment finds."""
    inside = {"type": "segment_membership", "segment_id": segment_id, "operator": operator}
    definition = {"logic": "AND", "conditions": [inside]}
    preview = await resources.previews.preview(tenant, definition, as_of=NOW, limit=100, breakdown=True)
    assert preview.conditions
    assert preview.matched_users == len(preview.sample_user_ids) == preview.conditions[0].matched_users
    return list(preview.sample_user_ids)


async def test_uploads_replace_add_and_remove(resources: Resources, tenant: Tenant, remember: Remember):
    segment = await static(resources, tenant)
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in "abc"])
    assert (await resources.segments.get(tenant, segment.id)).status == "draft"

    first = await resources.uploads.receive(tenant, segment.id, list("bax"), mode="replace")
    queued = (await resources.segments.get(tenant, segment.id)).status
    await run_all(resources)
    computed = await resources.segments.get(tenant, segment.id)
    assert (first.accepted, first.unknown, queued) == (3, 1, "queued")
    assert (computed.status, computed.member_count, computed.definition) == ("computed", 3, None)
    done = await resources.computation_records.get(tenant, first.computation_id)
    assert (done.status, done.member_count, done.entered, done.left) == ("done", 3, 3, 0)
    assert computed.last_computed_at == done.as_of
    assert await members(resources, tenant, segment) == "abx"

    cursor = (await resources.members.page(tenant, segment.id, limit=1)).cursor
    await upload(resources, tenant, segment, "cxy", "add")
    assert await members(resources, tenant, segment) == "abcxy"
    begun = await resources.members.page(tenant, segment.id, limit=9, cursor=cursor)
    assert "".join(one.user_id for one in begun.members) == "bx"  # to the end of the state it began in
    await upload(resources, tenant, segment, "az", "remove")
    assert await members(resources, tenant, segment) == "bcxy"
    with pytest.raises(InvalidInput, match="allow_empty=true"):
        await upload(resources, tenant, segment, "")
    await upload(resources, tenant, segment, "", "add")
    assert await members(resources, tenant, segment) == "bcxy"
    await resources.uploads.receive(tenant, segment.id, [], mode="replace", allow_empty=True)
    await run_all(resources)
    assert await members(resources, tenant, segment) == ""

    log = (await resources.changes.page(tenant, segment.id, Window(100))).results
    assert "".join(f"{'+' if one.change == 'entered' else '-'}{one.user_id}" for one in log) == "+a+b+x+c+y-a-b-c-x-y"
    await resources.postgres.execute("UPDATE uploads SET created_at = created_at - interval '1 hour'")
    await resources.postgres.execute("UPDATE member_removals SET lease_until = NULL")
    await resources.removals.remove_due()
    runs = await resources.clickhouse.fetch(
        "SELECT DISTINCT run_id FROM segment_states", purpose="catalog", merge=DISTINCT
    )
    assert len(runs.rows) == 2  # the published one and the one before
    assert await resources.postgres.fetchval("SELECT count(*) FROM uploads") == 0


async def test_uploads_at_once_are_applied_in_their_order(resources: Resources, tenant: Tenant):
    segment, another = await static(resources, tenant), await static(resources, tenant)
    for mode, ids in [("replace", "abc"), ("remove", "c"), ("add", "cd"), ("remove", "a")]:
        await resources.uploads.receive(tenant, segment.id, list(ids), mode=mode)  # type: ignore[arg-type]
    await resources.uploads.receive(tenant, another.id, ["z"], mode="add")
    computations = resources.computations

    (first,) = await computations._claim()
    (of_another,) = await computations._claim()  # the next of the first segment waits for its turn
    assert (first.segment_id, of_another.segment_id) == (segment.id, another.id)
    assert await computations._claim() == []
    await computations._settle(first, computations._compute(first))
    await run_all(resources)

    assert await members(resources, tenant, segment) == "bcd"


async def test_a_rule_refers_to_a_static_segment(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment, theirs = await static(resources, tenant), await static(resources, other_tenant)
    for one in (tenant, other_tenant):
        await remember(one, [(name, "order_placed", DAY, {}) for name in "abc"])
    await remember(tenant, [("later", "order_placed", NOW + DAY, {})])
    assert await count(resources, tenant, segment.id) == []
    assert await count(resources, tenant, segment.id, "not_in") == ["a", "b", "c"]

    await resources.uploads.receive(tenant, segment.id, ["a", "b", "later", "never"], mode="replace")
    await upload(resources, other_tenant, theirs, "c")

    assert await count(resources, tenant, segment.id) == ["a", "b"]
    assert await count(resources, tenant, segment.id, "not_in") == ["c"]
    inside = {"type": "segment_membership", "segment_id": segment.id}
    few = {"logic": "AND", "conditions": [*BUYERS["conditions"], inside]}
    rule = (await resources.segments.create(tenant, name="Few", definition=few)).segment
    assert "List" in rule.words
    await resources.computations.request(tenant, rule.id, as_of=NOW)
    await resources.computations.request_all(tenant, as_of=NOW)
    await run_all(resources)
    assert await members(resources, tenant, rule) == "ab"
    assert await resources.previews.count_over_time(tenant, rule.definition, [NOW]) == [2]  # type: ignore[arg-type]
    for user, is_in in {"a": True, "c": False, "never": False}.items():
        explained = await resources.explanations.user_of_segment(tenant, rule.id, user)
        assert (explained.is_member, explained.conditions[1].matches) == (is_in, is_in)
        live = await resources.live_memberships.segments_of_user(tenant, user)
        assert [one.segment_id for one in live.segments] == ([segment.id] if user != "c" else []) + [rule.id] * is_in
    with pytest.raises(Conflict):
        await resources.segments.delete(tenant, segment.id)


@pytest.mark.parametrize("reader", ["computation", "snapshot"])
async def test_who_reads_a_list_by_several_statements_reads_one_state_of_it(
    resources: Resources, tenant: Tenant, remember: Remember, monkeypatch: pytest.MonkeyPatch, reader: str
):
    monkeypatch.setattr(render, "_SMALL", 0)
    monkeypatch.setattr(render, "_SOURCES_IN_A_RANGE", {"chain": 1, "bitmasks": 1})
    segment = await static(resources, tenant)
    await remember(tenant, [(name, "order_placed", DAY, {}) for name in "abcdefgh"])
    await upload(resources, tenant, segment, "abcdefgh")
    inside = {"type": "segment_membership", "segment_id": segment.id}
    definition = {"logic": "AND", "conditions": [*BUYERS["conditions"], inside]}
    rule = (await resources.segments.create(tenant, name="Few", definition=definition)).segment
    execute, statements = resources.clickhouse.execute, list[str]()

    async def remove() -> None:
        await resources.postgres.execute("UPDATE uploads SET created_at = created_at - interval '1 hour'")
        await resources.postgres.execute("UPDATE member_removals SET lease_until = NULL")
        await resources.removals.remove_due()

    async def and_be_overtaken(sql: str, *args: Any, **kwargs: Any) -> Any:
        done = await execute(sql, *args, **kwargs)
        if "INSERT INTO segment_states" in sql or "INSERT INTO snapshot_members" in sql:
            statements.append(sql)
            if len(statements) == 1:
                monkeypatch.setattr(resources.clickhouse, "execute", execute)
                await upload(resources, tenant, segment, "x")
                await upload(resources, tenant, segment, "y")
                await remove()
                monkeypatch.setattr(resources.clickhouse, "execute", and_be_overtaken)
        return done

    if reader == "computation":
        await resources.computations.request(tenant, rule.id, as_of=NOW)
        monkeypatch.setattr(resources.clickhouse, "execute", and_be_overtaken)
        await resources.computations.run_next()
        found = await members(resources, tenant, rule)
    else:
        snapshot = await resources.snapshots.request(tenant, rule.id, name="Then", as_of=NOW, now=NOW + DAY)
        monkeypatch.setattr(resources.clickhouse, "execute", and_be_overtaken)
        await resources.snapshots.run_next()
        page = await resources.snapshots.members(tenant, snapshot.id, Window(100))
        found = "".join(one.user_id for one in page.results)

    assert len(statements) > 1
    assert found == "abcdefgh"
    await resources.removals.remove_due()
    await upload(resources, tenant, segment, "z")  # after which nobody reads the first list
    await remove()
    left = "SELECT DISTINCT run_id FROM segment_states WHERE segment_id = {segment:UInt64}"
    params = {"segment": segment.id}
    assert len((await resources.clickhouse.fetch(left, params, purpose="catalog", merge=DISTINCT)).rows) == 2


async def test_what_has_no_definition_is_not_computed_and_what_has_one_takes_no_upload(
    resources: Resources, tenant: Tenant, other_tenant: Tenant
):
    segment = await static(resources, tenant)
    rule = (await resources.segments.create(tenant, name="Rule", definition=BUYERS)).segment

    for refused in [
        resources.computations.request(tenant, segment.id),
        resources.previews.estimate(tenant, segment.id),
        resources.explanations.segment(tenant, segment.id),
        resources.explanations.user_of_segment(tenant, segment.id, "a"),
    ]:
        with pytest.raises(Conflict) as error:
            await refused
        assert error.value.code == "segment_is_static"
    assert (await resources.computations.request_all(tenant))[0] == 1
    with pytest.raises(Conflict) as error:
        await resources.uploads.receive(tenant, rule.id, ["a"], mode="add")
    assert error.value.code == "segment_is_not_static"
    for of, id_ in [(other_tenant, segment.id), (tenant, 10**15)]:
        with pytest.raises(NotFound) as never:
            await resources.uploads.receive(of, id_, ["a"], mode="add")
        assert never.value.code == "segment_not_found"


async def test_an_upload_that_comes_to_nothing_leaves_nothing(resources: Resources, tenant: Tenant):
    """ClickHouse is away, or the computation is cancelled: the members stay, and what was written goes."""
    segment = await static(resources, tenant)
    await upload(resources, tenant, segment, "ab")
    async with open_clickhouse("clickhouse://app:x@127.0.0.1:1/nowhere") as away:
        with pytest.raises(Unavailable):
            await Uploads(resources.postgres, away).receive(tenant, segment.id, ["c"], mode="add")
    sent = await resources.uploads.receive(tenant, segment.id, ["d"], mode="add")
    await resources.postgres.execute("UPDATE member_removals SET lease_until = NULL")
    await resources.removals.remove_due()
    assert (await stored_users(resources)) == ["a", "b", "d"]  # it is not removed

    await resources.computation_records.cancel(tenant, sent.computation_id)
    await upload(resources, tenant, segment, "e", "add")

    assert await members(resources, tenant, segment) == "abe"
    await resources.postgres.execute("UPDATE uploads SET created_at = created_at - interval '1 hour'")
    await resources.postgres.execute("UPDATE member_removals SET lease_until = NULL")
    await resources.removals.remove_due()
    assert (await stored_users(resources)) == ["a", "b", "e"]


async def stored_users(resources: Resources) -> list[str]:
    """Whoever is in a state of any segment, published or not."""
    sql = """
        SELECT user_id FROM user_numbers
        WHERE bitmapContains((SELECT groupBitmapMergeState(members) FROM segment_states), number) ORDER BY user_id"""
    return [user_id for (user_id,) in (await resources.clickhouse.fetch(sql, purpose="catalog", merge=ordered(0))).rows]
