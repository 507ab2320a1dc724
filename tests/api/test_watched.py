"""What API and worker export after real work, and that every query of the runbooks runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from segment_copilot.app import create_probes
from tests.support.http_server import Server, served
from tests.support.observed import RUNBOOKS, blocks, families
from tests.support.proxies import eventually

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}
SELDOM = {
    "http_stalled_streams", "db_client_connection_timeouts", "deliveries", "copilot_cost_usd", "copilot_upstream_failures",
    "copilot_breaker_opened", "copilot_breaker_open", "http_open_streams", "build",
}  # fmt: skip
"""Of which a run that goes well may leave no sample, or leaves zero."""


@pytest.fixture(scope="module")
async def exported(server: Server) -> dict[str, dict[tuple[str, ...], float]]:
    """What the API's `/metrics` says after events, a preview, a computation and a run of the copilot: name → labels → value."""
    async with server.client() as client:
        event = {
            "user_id": "ana",
            "event_type": "order_placed",
            "occurred_at": datetime.now(UTC).isoformat(),
            "payload": {},
        }
        assert (await client.post("/api/ingestion/track/", json=event)).status_code == 202
        await client.post("/api/segments/preview/", json={"definition": BUYERS})
        segment = (await client.post("/api/segments/", json={"name": "Watched", "definition": BUYERS})).json()
        await client.post(f"/api/segments/{segment['id']}/compute/")
        await client.post(
            "/api/copilot/stream", json={"messages": [{"role": "user", "content": "Which segments do I have?"}]}
        )

        async def is_done() -> bool:
            found = (await client.get(f"/api/segments/{segment['id']}/")).json()
            text = (await client.get("/metrics")).text
            told = (
                'segment_copilot_jobs_total{outcome="done",queue="computations"}' in text
            )  # a moment after it is done
            return found["status"] == "computed" and told and "segment_copilot_events_forwarded_total 0.0" not in text

        await eventually(is_done, seconds=90)
        text = (await client.get("/metrics")).text
    return _read(text)


def _read(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name.removesuffix("_info"): {(one.name, *one.labels.values()): one.value for one in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_every_metric_is_exported_and_moves(exported: dict[str, dict[tuple[str, ...], float]]):
    ours = {family.name for family in families()}

    assert ours <= exported.keys()
    still = {name for name in ours if not exported[name]}
    assert {name.removeprefix("segment_copilot_") for name in still} <= SELDOM


def test_counts_are_of_what_happened(exported: dict[str, dict[tuple[str, ...], float]]):
    prefix = "segment_copilot_"

    def value(name: str, *labels: str, end: str = "") -> float:  # labels in the order of their names
        return exported[prefix + name][(prefix + name + end, *labels)]

    assert value("events_accepted", end="_total") >= 1
    assert value("events_forwarded", end="_total") >= 1
    assert value("jobs", "done", "computations", end="_total") >= 1
    assert value("job_duration_seconds", "blocks", end="_count") >= 1
    assert value("db_client_operation_duration_seconds", "clickhouse", "", "preview", end="_count") >= 1
    assert value("db_client_operation_duration_seconds", "postgresql", "", "statement", end="_count") >= 1
    assert value("copilot_runs", "completed", end="_total") >= 1
    assert value("copilot_turns", "offline", "tool_use", end="_total") >= 1
    assert value("copilot_tool_calls", "ok", "list_segments", end="_total") >= 1
    assert value("workers") == 1
    assert value("db_client_connection_max", "postgres") == 10
    assert value("db_client_connection_max", "clickhouse") == 8
    assert value("db_client_connection_max", "clickhouse_read") == 8
    assert value("queue_depth", "exports") == 0
    assert value("stopped", "dead_deliveries") == 0
    assert value("worker_step_failures", "forwarding", end="_total") == 0
    assert value("worker_step_last_success_timestamp_seconds", "forwarding") > 1e9


async def test_a_worker_exports_the_same_on_its_own_port(server: Server):
    app = create_probes(server.resources, server.app.state.draining)
    async with served(app) as url, httpx2.AsyncClient(base_url=url, timeout=30) as client:
        found = _read((await client.get("/metrics")).text)

    assert {family.name for family in families()} <= found.keys()
    assert found["segment_copilot_workers"][("segment_copilot_workers",)] == 1


async def test_late_work_is_told_by_queue_and_age(server: Server, client: httpx2.AsyncClient):
    postgres = server.resources.postgres
    sql = """
        INSERT INTO erasures (tenant_id, user_id_hash, ids, requested_at, lease_until)
        SELECT id, 'h', '{}', now() - interval '2 hours', now() + interval '1 day' FROM tenants LIMIT 1"""
    await postgres.execute(sql)
    try:
        found = _read((await client.get("/metrics")).text)
    finally:
        await postgres.execute("DELETE FROM erasures WHERE user_id_hash = 'h'")

    name = "segment_copilot_queue_oldest_age_seconds"
    assert found[name][(name, "erasures")] >= 7200


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
async def test_the_sql_of_a_runbook_runs(server: Server, page):
    for sql in blocks(page, "sql"):
        if sql.startswith("-- ClickHouse\n"):
            described = re.sub(r"system\.query_log", "(SELECT '' AS query_id, '' AS log_comment, 0 AS query_duration_ms, 0 AS read_rows, "
                               "'QueryFinish' AS type, now() AS event_time)", sql)  # fmt: skip  # its log may be off here
            await server.resources.reading.fetch(described, purpose="catalog")
        else:
            await server.resources.postgres.fetch(sql)
