"""`kill -9` of the worker in the middle of a refresh: another ends it, and nothing is due twice or forgotten."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.schedules import Wanted
from segment_copilot.resources import Resources
from tests.support.workers import running_worker, until

WAIT = """
CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4711);
    RETURN NEW;
END $$;
"""
AS_IT_IS_QUEUED = (
    "CREATE TRIGGER queued BEFORE INSERT ON computations FOR EACH ROW EXECUTE FUNCTION wait_for_the_test()"
)
AS_IT_IS_PUBLISHED = """
CREATE TRIGGER published BEFORE UPDATE ON computations FOR EACH ROW WHEN (NEW.status = 'done')
EXECUTE FUNCTION wait_for_the_test()
"""
WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND objid = 4711)"
TRUE = "SELECT count(*) FILTER (WHERE last_refreshed_at IS NOT NULL) = 3 FROM segments"


@pytest.mark.parametrize("trigger", [AS_IT_IS_QUEUED, AS_IT_IS_PUBLISHED], ids=["queued", "published"])
async def test_a_worker_killed_in_the_middle_of_a_refresh_is_followed_by_another(
    resources: Resources, tenant: Tenant, database_url: str, clickhouse_url: str, trigger: str
):
    postgres = resources.postgres
    order = {"user_id": "ana", "event_type": "order_placed", "payload": {}}
    await resources.ingestion.accept(tenant, [order], received_at=datetime.now(UTC))
    definitions = [
        {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": days}]}
        for days in (7, 8, 9)
    ]
    while await resources.forwarding.forward_next():
        pass
    saved = [
        (await resources.segments.create(tenant, name="A", definition=one, refresh=Wanted("auto"))).segment
        for one in definitions
    ]
    await postgres.execute(WAIT)
    await postgres.execute(trigger)

    async with running_worker(database_url, clickhouse_url) as worker:
        async with postgres.connection() as holder:
            await holder.execute("SELECT pg_advisory_lock(4711)")
            await until(postgres, WAITS)
            await worker.end(signal.SIGKILL)
            await holder.execute("SELECT pg_advisory_unlock(4711)")
        await worker.start()
        await until(postgres, TRUE)

    rows = await postgres.fetch("SELECT segment_id, status, cause FROM computations ORDER BY id")
    assert [(row["segment_id"], row["status"], row["cause"]) for row in rows] == [
        (one.id, "done", "schedule") for one in saved
    ]
    for one in saved:
        assert [member.user_id for member in (await resources.members.page(tenant, one.id)).members] == ["ana"]
        assert (await resources.segments.get(tenant, one.id)).status == "computed"
