"""`kill -9` of the worker in the middle of a file: another writes it, and it is whole and there once."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from uuid import uuid4

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.exports import Source
from segment_copilot.resources import Resources
from tests.support.resources import NOW
from tests.support.workers import running_worker, until

MEMBERS = 120_000
STOP_AT_THE_THIRD_CHUNK = """
CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.number = 2 THEN PERFORM pg_advisory_xact_lock(4711); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER third_chunk BEFORE INSERT ON export_chunks FOR EACH ROW EXECUTE FUNCTION wait_for_the_test();
"""
WRITTEN = "SELECT (SELECT count(*) FROM export_chunks) = 2 AND EXISTS (SELECT FROM pg_locks WHERE NOT granted AND objid = 4711)"


async def test_a_worker_killed_in_the_middle_of_a_file_is_followed_by_another(
    resources: Resources, tenant: Tenant, database_url: str, clickhouse_url: str
):
    postgres, run = resources.postgres, uuid4()
    definition = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
    segment = (await resources.segments.create(tenant, name="Buyers", definition=definition)).segment
    sql = """
        INSERT INTO user_numbers (tenant_id, user_id, user_key, number)
        SELECT {tenant:UInt32}, format('user-{}', leftPad(toString(number), 9, '0')), number, number
        FROM numbers({members:UInt64})"""
    await resources.clickhouse.execute(sql, {"tenant": tenant.id, "members": MEMBERS}, purpose="compute")
    sql = """
        INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
        SELECT {tenant:UInt32}, {segment:UInt64}, {run:UUID}, groupBitmapState(number) FROM user_numbers"""
    params = {"tenant": tenant.id, "segment": segment.id, "run": run}
    await resources.clickhouse.execute(sql, params, purpose="compute")
    sql = """
        INSERT INTO computations (tenant_id, segment_id, version, as_of, status, run_id, member_count, finished_at)
        VALUES ($1, $2, 1, $3, 'done', $4, $5, now())"""
    await postgres.execute(sql, tenant.id, segment.id, NOW, run, MEMBERS)
    await postgres.execute("UPDATE segments SET published_run = $1, last_computed_at = $2", run, NOW)
    await postgres.execute(STOP_AT_THE_THIRD_CHUNK)
    asked = await resources.exports.request(tenant, Source("segment", segment.id), "csv")

    async with running_worker(database_url, clickhouse_url) as worker:
        async with postgres.connection() as holder:
            await holder.execute("SELECT pg_advisory_lock(4711)")
            await until(postgres, WRITTEN)
            await worker.end(signal.SIGKILL)
            await holder.execute("SELECT pg_advisory_unlock(4711)")
        await worker.start()
        await until(postgres, "SELECT EXISTS (SELECT FROM exports WHERE status = 'complete')")

    export, file = await resources.exports.file(tenant.id, asked.id, now=datetime.now(UTC))
    content = b"".join([part async for part in resources.exports.read(file, 0, file.size)])
    lines = content.decode().split("\r\n")
    assert await postgres.fetchval("SELECT attempts FROM exports") == 2
    assert export.rows == MEMBERS
    assert lines == ["user_id,computed_at", *(f"user-{n:09},2026-06-15T12:00:00Z" for n in range(MEMBERS)), ""]
    assert await postgres.fetchval("SELECT count(DISTINCT file_id) FROM export_chunks") == 1
