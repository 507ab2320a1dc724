"""Who joined a segment and who left it in a span of time: as computations published it, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.movements import Movement
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

DAY = timedelta(days=1)
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 1}]}
EVER = datetime(2000, 1, 1, tzinfo=UTC)


async def test_a_span_tells_how_many_moved_and_the_first_of_them(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember
):
    segment = (await resources.segments.create(tenant, name="Buyers", definition=BUYERS)).segment
    theirs = (await resources.segments.create(other_tenant, name="Buyers", definition=BUYERS)).segment
    states = [{"ana", "ben", "cai"}, {"ana", "dot"}, {"ana", "dot"}, {"ben", "dot", "eve"}]
    published: list[datetime] = []
    for number, users in enumerate(states):
        at = NOW + 2 * number * DAY
        await remember(tenant, [(user, "order_placed", at - DAY / 2, {}) for user in users])
        await remember(other_tenant, [(f"their {user}", "order_placed", at - DAY / 2, {}) for user in users])
        for owner, one in ((tenant, segment), (other_tenant, theirs)):
            await resources.computations.request(owner, one.id, as_of=at)
        while await resources.computations.run_next():
            pass
        row = await resources.segments.get(tenant, segment.id)
        assert row.last_computed_at is not None
        sql = "SELECT max(finished_at) FROM computations WHERE segment_id = $1"
        published.append(await resources.postgres.fetchval(sql, segment.id))

    async def told(start: datetime, end: datetime, limit: int = 10) -> tuple[Movement, list[str], list[str]]:
        found = await resources.movements.between(tenant, segment.id, start, end, limit=limit)
        return found, [one.user_id for one in found.entered_users], [one.user_id for one in found.left_users]

    whole, entered, left = await told(EVER, published[-1] + DAY)
    assert (whole.entered, whole.left, whole.publications) == (6, 3, 4)
    assert whole.first_computed_at == published[0]
    assert entered == ["ana", "ben", "cai", "dot", "ben", "eve"]  # in the order of time, twice who came twice
    assert left == ["ben", "cai", "ana"]
    assert whole.entered_users[3].at == published[1]

    later, entered, left = await told(published[1], published[3])
    assert (later.entered, later.left, later.publications, later.first_computed_at) == (1, 2, 2, None)
    assert (entered, left) == (["dot"], ["ben", "cai"])

    few, entered, left = await told(EVER, published[-1] + DAY, 4)
    assert (few.entered, few.left) == (6, 3)
    assert (entered, left) == (["ana", "ben", "cai", "dot"], ["ben", "cai", "ana"])
    assert (await told(EVER, published[-1] + DAY, 0))[1:] == ([], [])

    nothing, entered, left = await told(published[-1] + DAY, published[-1] + 2 * DAY)
    assert nothing == Movement(0, 0, 0, None, (), ())
    foreign = await resources.movements.between(other_tenant, segment.id, EVER, published[-1] + DAY)
    assert foreign == nothing
