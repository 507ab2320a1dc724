"""Spans of real requests, runs and jobs over real stores, as the SDK hands them to an exporter."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import httpx2
import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from segment_copilot.telemetry import tracing
from tests.support.http_server import Server
from tests.support.proxies import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}


@pytest.fixture(scope="module", autouse=True)
def exporter() -> Generator[InMemorySpanExporter]:
    """Where the spans of this module's server and worker go; before both, who look once whether spans are wanted."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_with(provider)
    yield exporter
    tracing.stop_tracing()


@pytest.fixture(autouse=True)
def nothing_before(exporter: InMemorySpanExporter) -> None:
    exporter.clear()


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def under(spans: list[ReadableSpan], parent: ReadableSpan) -> list[ReadableSpan]:
    """What happened inside of *parent*, directly."""
    assert parent.context
    return [one for one in spans if one.parent is not None and one.parent.span_id == parent.context.span_id]


def within(spans: list[ReadableSpan], parent: ReadableSpan) -> list[ReadableSpan]:
    return [one for child in under(spans, parent) for one in [child, *within(spans, child)]]


async def traced(exporter: InMemorySpanExporter, name: str) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The span of this name once it has ended, and all that were made until then."""

    async def has_ended() -> bool:
        return any(one.name == name for one in exporter.get_finished_spans())

    await eventually(has_ended)
    spans = list(exporter.get_finished_spans())
    return next(one for one in spans if one.name == name), spans


async def test_a_preview_is_traced_from_its_request_to_the_query_of_clickhouse(
    client: httpx2.AsyncClient, exporter: InMemorySpanExporter
):
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer = await client.post("/api/segments/preview/", json={"definition": BUYERS}, headers=PARENT)
        request, spans = await traced(exporter, "POST /api/segments/preview")

    assert answer.status_code == 200
    assert request.context
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert request.kind.name == "SERVER"
    assert attributes(request)["http.response.status_code"] == 200
    assert attributes(request)["segment_copilot.tenant.id"] == 1
    cases = [one for one in under(spans, request) if one.name.startswith("previews.")]
    assert cases
    queries = [
        one for case in cases for one in within(spans, case) if attributes(one).get("db.system.name") == "clickhouse"
    ]
    assert {one.name for one in queries} == {"clickhouse preview"}
    told = {line["query_id"] for line in lines if line["event"] == "clickhouse.query"}
    assert {attributes(one)["db.clickhouse.query_id"] for one in queries} <= told
    assert any(attributes(one).get("db.system.name") == "postgresql" for one in within(spans, request))
    (line,) = [line for line in lines if line["event"] == "http.request"]
    assert line["trace_id"] == TRACE
    assert (line["clickhouse_queries"], line["postgres_statements"] > 0) == (len(queries), True)


async def test_clickhouse_is_told_the_trace(server: Server, client: httpx2.AsyncClient):
    """By what the driver puts into the head of the query; a server that keeps a log of spans has them of this trace."""
    reading = server.resources.reading
    await client.post("/api/segments/preview/", json={"definition": BUYERS}, headers=PARENT)

    sent: str = reading._idle._waiting[-1]._protocol.context.client_settings["opentelemetry_traceparent"]
    assert sent.split("-")[1] == TRACE
    await reading.fetch("SELECT 1", purpose="catalog")
    assert not reading._idle._waiting[-1]._protocol.context.client_settings["opentelemetry_traceparent"]


async def test_no_span_holds_a_path_a_statement_or_a_person(client: httpx2.AsyncClient, exporter: InMemorySpanExporter):
    await client.get("/api/segments/membership/?user_id=ana@example.com")
    _, spans = await traced(exporter, "GET /api/segments/membership")

    written = "\n".join(one.to_json() for one in spans)
    assert "ana@example" not in written
    assert "SELECT " not in written.replace('"SELECT ', "")  # as the name of an operation alone


async def test_a_failure_has_its_code(client: httpx2.AsyncClient, exporter: InMemorySpanExporter):
    await client.get("/api/segments/999999/")
    request, spans = await traced(exporter, "GET /api/segments/{segment_id}")

    case = next(one for one in under(spans, request) if one.name == "segments.get")
    assert attributes(case)["error.type"] == "segment_not_found"
    assert request.status.status_code.name == "UNSET"  # of a server, what the caller did wrong is no error


async def test_a_computation_is_a_span_of_its_worker(client: httpx2.AsyncClient, exporter: InMemorySpanExporter):
    segment = (await client.post("/api/segments/", json={"name": "Traced", "definition": BUYERS})).json()
    exporter.clear()
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await client.post(f"/api/segments/{segment['id']}/compute/")
        job, spans = await traced(exporter, "process computations")

    assert job.kind.name == "CONSUMER"
    assert job.parent is None
    assert attributes(job)["segment_copilot.job.outcome"] == "done"
    assert attributes(job)["segment_copilot.tenant.id"] == 1
    systems = {attributes(one).get("db.system.name") for one in within(spans, job)}
    assert systems >= {"postgresql", "clickhouse"}
    (line,) = [line for line in lines if line["event"] == "job" and line["queue"] == "computations"]
    assert (line["outcome"], line["attempt"], line["tenant_id"]) == ("done", 1, 1)
    assert str(line["job_id"]) == attributes(job)["messaging.message.id"]
    assert line["clickhouse_queries"] > 0


async def test_nothing_is_traced_while_a_worker_finds_nothing_to_do(exporter: InMemorySpanExporter, server: Server):
    await server.resources.postgres.fetchval("SELECT 1")
    await server.resources.reading.fetch("SELECT 1", purpose="catalog")

    assert [
        one.name for one in exporter.get_finished_spans() if one.parent is None and one.kind.name != "CONSUMER"
    ] == []


@pytest.mark.parametrize("content", [False, True])
async def test_a_run_is_an_agent_that_asks_a_model_and_calls_tools(
    client: httpx2.AsyncClient, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, *, content: bool
):
    assert tracing._tracers is not None
    monkeypatch.setattr(tracing._tracers, "content", content)
    asked = {"messages": [{"role": "user", "content": "Which segments do I have?"}], "thread_id": "thread-7"}
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer = await client.post("/api/copilot/stream", json=asked)
        request, spans = await traced(exporter, "POST /api/copilot/stream")

    assert answer.status_code == 200
    (agent,) = [one for one in within(spans, request) if one.name == "invoke_agent segment-copilot"]
    inside = under(spans, agent)
    chats = [one for one in inside if one.name == "chat offline"]
    tools = [one for one in inside if one.name == "execute_tool list_segments"]
    assert len(tools) == 1
    assert attributes(agent)["gen_ai.conversation.id"] == "thread-7"
    assert attributes(agent)["segment_copilot.run.outcome"] == "completed"
    assert attributes(chats[0])["gen_ai.operation.name"] == "chat"
    assert attributes(chats[0])["gen_ai.provider.name"] == "segment_copilot"
    assert attributes(chats[0])["gen_ai.response.finish_reasons"] == ("tool_use",)
    assert attributes(tools[0])["gen_ai.tool.name"] == "list_segments"
    assert [one.name for one in under(spans, tools[0])] == ["segments.list"]
    assert {one.instrumentation_scope and one.instrumentation_scope.schema_url for one in (agent, *chats, *tools)} == {
        "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
    }
    assert ("Which segments" in "".join(one.to_json() for one in spans)) is content
    assert ("gen_ai.input.messages" in attributes(chats[0])) is content
    turns = [line for line in lines if line["event"] == "copilot.turn"]
    assert [line["turn"] for line in turns] == [*range(1, len(chats) + 1)]
    assert {line["model"] for line in turns} == {"offline"}
    assert [line["stop_reason"] for line in turns] == [
        attributes(one)["gen_ai.response.finish_reasons"][0]
        for one in sorted(chats, key=lambda one: one.start_time or 0)
    ]
    assert turns[-1]["stop_reason"] == "end_turn"
    assert {line["run_id"] for line in turns} == {attributes(agent)["segment_copilot.run.id"]}
