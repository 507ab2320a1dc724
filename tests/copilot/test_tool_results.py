"""What holds for the result of every tool: its size, its source, how a failure is told. The workspace is large."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Struct, structs

from segment_copilot.access.tenants import Tenant
from segment_copilot.app import build_copilot
from segment_copilot.copilot.guards.bounds import MAX_BYTES
from segment_copilot.copilot.models import ToolCall
from segment_copilot.copilot.runs.calls import Calls
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.transcript import Transcript
from segment_copilot.copilot.tools import TOOLS, Tool
from segment_copilot.copilot.tools.context import Memory, ToolContext
from segment_copilot.errors import Conflict, QueryTimeout, QueryTooExpensive, SegmentCopilotError
from segment_copilot.events import Event as StoredEvent
from segment_copilot.events import observe_names, write_block
from segment_copilot.lists import Window
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.migrations import migrate
from tests.support.copilot_runs import BUYERS, Ask, Script, Told, asking, calls, run_to_end, says, wired
from tests.support.resources import NOW

TYPES, PROPERTIES, SEGMENTS, VALUES = 70, 25, 150, 130
RANGE = {"from": "2026-06-01", "to": "2026-06-16"}


def name(kind: str, number: int) -> str:
    return f"{kind} {number:03} with a name that is a good deal longer than it would have to be"


class Large(Struct, frozen=True):
    """A workspace whose every list is longer than a result may be."""

    resources: Resources
    tenant: Tenant
    segment: int


@pytest.fixture(scope="module")
async def large(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Large]:
    async with open_resources(
        Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url)
    ) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("large", timezone="Europe/Madrid")
        await _fill(resources, tenant)
        conditions = [
            {"type": "event_count", "event_type": name("event", number), "value": 1, "window_days": 30}
            for number in range(TYPES)
        ]
        huge = {"logic": "AND", "conditions": [{"type": "group", "logic": "OR", "conditions": conditions}]}
        for number in range(SEGMENTS):
            saved = await resources.segments.create(
                tenant,
                name=name("segment", number),
                description="d" * 900,
                definition=huge if number == 0 else did(number),
            )
            await resources.postgres.execute(
                "INSERT INTO activations (tenant_id, segment_id, connector_type, config, status, last_error) "
                "VALUES ($1, $2, $3, $4, 'error', $5)",
                *(tenant.id, saved.segment.id, name("connector", number), '{"api_key": "hunter2"}', "e" * 300),
            )
        resources.discovery.forget(tenant)
        page = await resources.segments.list(tenant, Window(1))
        yield Large(resources, tenant, page.results[0].id)


def did(number: int) -> dict[str, Any]:
    return {"logic": "AND", "conditions": [{"type": "event_count", "event_type": name("event", number % TYPES)}]}


async def _fill(resources: Resources, tenant: Tenant) -> None:
    happened = [
        StoredEvent(
            tenant_id=tenant.id,
            event_id=f"{kind}-{number}",
            user_id=f"user-{number}",
            event_type=name("event", kind),
            occurred_at=NOW - timedelta(minutes=kind, seconds=number),
            payload=msgspec.json.encode(
                {name("property", one): f"value {number:03} {'v' * 50}" for one in range(PROPERTIES)}
            ).decode(),
        )
        for kind in range(TYPES)
        for number in range(VALUES if kind == 0 else 2)
    ]
    await write_block(resources.clickhouse, happened, token="large")
    await observe_names(resources.postgres, happened)
    for event in happened:
        await resources.postgres.execute(
            "INSERT INTO events (tenant_id, event_id, user_id, event_type, occurred_at, payload) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            *(tenant.id, event.event_id, event.user_id, event.event_type, event.occurred_at, event.payload),
        )


async def told_of(large: Large, *wanted: tuple[str, dict[str, Any]]) -> Told:
    return await run_to_end(
        wired(large.resources, Script(*[calls(one) for one in wanted], says("Done.")), copilot_max_turns=30),
        large.tenant,
        asking(options={"max_turns": 30}),
    )


CUT: list[tuple[str, dict[str, Any], str, int]] = [
    ("list_segments", {"limit": 100}, "segments", SEGMENTS),
    ("search_segments", {"query": "segment longer", "limit": 50}, "segments", SEGMENTS),
    ("list_activations", {}, "activations", SEGMENTS),
    ("list_event_schemas", {}, "schemas", TYPES),
    ("list_recent_events", {"limit": 100}, "events", (TYPES - 1) * 2 + VALUES),
    ("list_property_values", {"property": name("property", 0), "event_type": name("event", 0), "limit": 100}, "values", VALUES),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "arguments", "items", "total"), CUT)
async def test_a_long_list_is_cut_and_says_of_how_many(large: Large, tool, arguments, items, total):
    told = await told_of(large, (tool, arguments))

    result = told.one("tool.result")
    data = result["data"]
    assert len(msgspec.json.encode(data)) <= MAX_BYTES
    assert (result["truncated"], data["truncated"]) == (True, True)
    assert data.get("total", data.get("total_distinct")) == total
    assert len(data[items]) >= 3, "a list loses its end, not itself"
    assert "omitted" not in data


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_event_schema", {"event_type": name("event", 0)}),
        ("get_segment_detail", {"segment": name("segment", 0)}),
        ("explain_segment", {"segment": name("segment", 0)}),
        ("check_user_membership", {"segment": name("segment", 0), "user_id": "user-1"}),
    ],
)
async def test_one_large_thing_is_cut_too(large: Large, tool, arguments):
    told = await told_of(large, (tool, arguments))

    result = told.one("tool.result")
    assert len(msgspec.json.encode(result["data"])) <= MAX_BYTES
    assert result["truncated"] is True


async def test_an_error_with_many_findings_keeps_its_code_and_the_first(large: Large):
    wrong = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": name("event", number) + "?"} for number in range(90)]}  # fmt: skip

    told = await told_of(large, ("preview_segment", {"definition": wrong}))

    error = told.one("tool.result")["error"]
    assert (error["code"], error["retry"]) == ("invalid_definition", "adjust")
    assert error["findings"][0]["suggestions"][0] == name("event", 0)
    assert len(msgspec.json.encode(error)) <= 2 * MAX_BYTES


async def test_connectors_are_listed_without_their_configuration(large: Large):
    told = await told_of(large, ("list_activations", {}))

    assert set(told.result()["activations"][0]) == {
        "id", "connector_type", "segment_id", "segment_name", "status", "last_synced_at", "last_error", "member_count", "last_delivery", "success_rate",
    }  # fmt: skip
    assert "hunter2" not in str(told.frames)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
async def test_arguments_that_do_not_fit_are_told_where(ask: Ask, tool: Tool):
    told = await ask(Script(calls((tool.name, {"nonsense": 1})), says("Sorry.")), asking())

    result = told.one("tool.result")
    assert (result["ok"], result["source"]) == (False, tool.source)
    assert (result["error"]["code"], result["error"]["retry"]) == ("invalid_arguments", "adjust")
    assert result["error"]["findings"]
    assert told.one("tool.args")["valid"] is False


GOOD: Mapping[str, dict[str, Any]] = {
    "query_top_events": RANGE,
    "query_event_volume": RANGE,
    "preview_segment": {"definition": BUYERS},
    "propose_segment": {"name": "a", "description": "b", "definition": BUYERS},
    "explain_segment": {"segment": BUYERS},
    "compare_segments": {"first": BUYERS, "second": BUYERS},
    "check_user_membership": {"user_id": "ana", "segment": BUYERS},
    "list_property_values": {"property": "country"},
    "list_segments": {},
    "list_activations": {},
    "list_event_schemas": {},
    "list_recent_events": {},
    "search_segments": {"query": "buyers"},
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_result_says_where_it_comes_from(ask: Ask, name: str):
    told = await ask(Script(calls((name, GOOD[name])), says("Done.")), asking())

    result = told.one("tool.result")
    assert result["source"] == result["data"]["source"] == TOOLS[name].source


Run = Callable[..., Any]


@pytest.fixture
def run(shop: Any) -> Run:
    """Run one call of a tool that was changed, and give its result."""

    async def once(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        said: list[run_events.Event] = []
        memory = Memory("run_0")
        use_cases = build_copilot(shop.resources, Script()).use_cases
        catalog = await shop.resources.discovery.catalog(shop.tenant)

        def surroundings(call_id: str) -> ToolContext:
            return ToolContext(
                use_cases=use_cases, tenant=shop.tenant, catalog=catalog, as_of=NOW, timezone="UTC",
                timezone_asked=False, memory=memory, tool_call_id=call_id,
            )  # fmt: skip

        transcript = Transcript(said.append, reasoning=False)
        made = Calls([tool], transcript=transcript, memory=memory, surroundings=surroundings, most=3)
        call = ToolCall("call_1", tool.name, arguments)
        transcript.tool_start(made.start(call.id, call.name))
        transcript.tool_args(made.arguments(call))
        await made.run([call])
        (result,) = [event for event in said if isinstance(event, run_events.ToolResult)]
        return msgspec.to_builtins(result)

    return once


@pytest.mark.parametrize("name", GOOD)
async def test_a_tool_that_takes_too_long_may_be_called_once_more(run: Run, name: str):
    result = await run(structs.replace(TOOLS[name], timeout_seconds=0.0), GOOD[name])

    assert (result["error"]["code"], result["error"]["retry"]) == ("tool_timeout", "once")


@pytest.mark.parametrize(
    ("raised", "code", "retry"),
    [
        (QueryTimeout("The query took too long."), "query_timeout", "once"),
        (QueryTooExpensive("The query reads too much."), "query_too_expensive", "adjust"),
        (Conflict("It is in use.", code="segment_in_use"), "segment_in_use", "never"),
        (RuntimeError("postgresql://app:secret@db/x"), "internal", "never"),
    ],
)
async def test_each_failure_says_whether_to_try_again_and_nothing_of_ours(run: Run, raised, code, retry):
    async def failing(context: ToolContext) -> Struct:
        raise raised

    tool = structs.replace(TOOLS["list_activations"], run=failing)

    result = await run(tool, {})

    assert (result["error"]["code"], result["error"]["retry"]) == (code, retry)
    assert isinstance(raised, SegmentCopilotError) or "secret" not in str(result)


async def test_a_query_that_is_too_long_for_the_store_may_be_tried_once_more(run: Run, shop: Any):
    """The store's own limit, on a query that no limit of ours would stop."""
    clickhouse: ClickHouse = shop.resources.clickhouse

    async def slow(context: ToolContext) -> Struct:
        await clickhouse.fetch(
            "SELECT sum(sleepEachRow(0.05)) FROM numbers(1000) SETTINGS max_execution_time = 0.2", {}, purpose="copilot"
        )
        raise AssertionError

    result = await run(structs.replace(TOOLS["list_activations"], run=slow), {})

    assert (result["error"]["code"], result["error"]["retry"]) == ("query_timeout", "once")
