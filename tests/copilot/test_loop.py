"""The loop: turns, tools, limits, failures, and what the server says by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from segment_copilot.copilot import models
from segment_copilot.copilot.models import AssistantMessage, ToolCall, TurnEnded
from segment_copilot.copilot.runs.run import Copilot, prepare_run
from segment_copilot.copilot.stream.run_events import Event, RunError, RunStarted
from segment_copilot.errors import InvalidInput, Unavailable
from segment_copilot.events.analytics import Analytics
from segment_copilot.stores.clickhouse import open_clickhouse
from tests.support.copilot_runs import BUYERS, TOKENS, Ask, Script, Shop, asking, calls, run_to_end, says, wired
from tests.support.proxies import eventually

LIST = ("list_segments", {})


@asynccontextmanager
async def locked(shop: Shop) -> AsyncGenerator[Callable[[int], Awaitable[bool]]]:
    """Nobody can read segments inside the block; tells whether so many queries wait for it."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def waiting(count: int) -> bool:
        return await shop.resources.postgres.fetchval(sql) == count

    async with shop.resources.postgres.transaction() as transaction:
        await transaction.execute("LOCK TABLE segments IN ACCESS EXCLUSIVE MODE")
        yield waiting


async def test_an_answer_is_streamed_between_a_start_and_an_end(ask: Ask):
    told = await ask(Script(says("Sales are fine.")))

    assert told.text == "Sales are fine."
    assert told.names == [
        "run.started", "turn.started", "text.start", "text.delta", "text.end", "turn.finished", "usage", "checkpoint",
        "run.finished",
    ]  # fmt: skip
    assert told.frames[-1]["outcome"] == "completed"


async def test_the_run_says_its_instant_its_model_and_its_limits_first(ask: Ask):
    told = await ask(Script(says("Hello.")), asking(thread_id="thread-7"), copilot_max_turns=3)

    started = told.frames[0]
    assert started["as_of"] == "2026-06-15T12:00:00Z"
    assert started["timezone"] == "Europe/Madrid"
    assert started["thread_id"] == "thread-7"
    assert started["model"] == "scripted"
    assert started["protocol"] == "segment-copilot/1"
    assert started["limits"] == {"max_turns": 3, "max_tool_calls": 24, "deadline_ms": 120_000}


async def test_results_go_back_to_the_model_in_call_order(ask: Ask):
    model = Script(calls(LIST, ("list_activations", {}), ("list_event_schemas", {})), says("Done."))

    told = await ask(model)

    (results,) = [message for message in model.requests[1].messages if isinstance(message, models.ToolResults)]
    assert [result.name for result in results.results] == ["list_segments", "list_activations", "list_event_schemas"]
    assert told.frames[-1]["tool_calls"] == 3


async def test_reads_of_one_turn_run_side_by_side(ask: Ask, shop: Shop):
    """A lock holds up all of them: that both wait at once shows that neither waits for the other."""
    model = Script(calls(LIST, ("list_segments", {"order": "name"})), says("Done."))

    async with locked(shop) as waiting:
        running = asyncio.ensure_future(ask(model))
        await eventually(lambda: waiting(2))
    told = await running

    assert [result["ok"] for result in told.of("tool.result")] == [True, True]


async def test_an_unknown_tool_is_an_error_that_names_the_tools(ask: Ask):
    told = await ask(Script(calls(("list_segment", {})), says("Sorry.")))

    error = told.one("tool.result")["error"]
    assert error["code"] == "unknown_tool"
    assert "list_segments" in error["message"]
    assert error["findings"][0]["suggestions"][0] == "list_segments"


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": "many"}, "/limit"),
        ({"order": "biggest"}, "/order"),
        ({"colour": "red"}, ""),
        ({"query": "a\0b"}, "/query"),
        ({"a/b~": {"c\0": "d"}}, "/a~1b~0/c\0"),
        ({"a/b~": "c\0"}, "/a~1b~0"),
    ],
)
async def test_wrong_arguments_are_an_error_that_says_where(ask: Ask, arguments, pointer):
    told = await ask(Script(calls(("list_segments", arguments)), says("Sorry.")))

    assert told.one("tool.args")["valid"] is False
    error = told.one("tool.result")["error"]
    assert (error["code"], error["retry"]) == ("invalid_arguments", "adjust")
    assert error["findings"][0]["pointer"] == pointer


async def test_arguments_that_nest_without_end_are_an_error(ask: Ask):
    deep: dict[str, Any] = {}
    for _ in range(700):
        deep = {"a": deep}

    told = await ask(Script(calls(("preview_segment", {"definition": deep})), says("Sorry.")))

    assert told.one("tool.result")["error"]["code"] in {"invalid_arguments", "invalid_definition"}


async def test_arguments_that_are_no_object_are_an_error(ask: Ask):
    call = ToolCall("c1", "list_segments", {}, malformed='{"limit": 5, "or')
    told = await ask(Script([call, TurnEnded("tool_use", AssistantMessage("", (call,)), TOKENS)], says("Sorry.")))

    assert "args" not in told.one("tool.args")
    assert told.one("tool.result")["error"]["code"] == "malformed_arguments"


async def test_the_last_turn_may_not_call_and_the_run_says_so(ask: Ask):
    model = Script(calls(LIST), says("This is what I found."))

    told = await ask(model, copilot_max_turns=2)

    assert [request.tools_allowed for request in model.requests] == [True, False]
    assert model.requests[0].tools == model.requests[1].tools
    assert told.frames[-1]["outcome"] == "limit"
    assert told.frames[-1]["limit"] == "max_turns"


async def test_a_model_that_calls_on_its_last_turn_is_stopped_and_the_server_speaks(ask: Ask):
    told = await ask(Script(calls(LIST)), copilot_max_turns=1)

    assert told.one("tool.result")["error"]["code"] == "tool_call_limit"
    assert told.frames[-1]["limit"] == "max_turns"
    assert "more steps" in told.text


async def test_a_client_may_ask_for_fewer_turns_but_not_for_more(ask: Ask):
    fewer = await ask(Script(says("Hi.")), asking(options={"max_turns": 2}))
    more = await ask(Script(says("Hi.")), asking(options={"max_turns": 900}))

    assert fewer.frames[0]["limits"]["max_turns"] == 2
    assert more.frames[0]["limits"]["max_turns"] == 8


async def test_calls_past_the_limit_are_refused_and_the_next_turn_must_answer(ask: Ask):
    wanted = [("list_segments", {"limit": number}) for number in (1, 2, 3)]
    model = Script(calls(*wanted), says("Enough."))

    told = await ask(model, copilot_max_tool_calls=2)

    assert [result["ok"] for result in told.of("tool.result")].count(True) == 2
    assert model.requests[1].tools_allowed is False
    assert told.frames[-1]["limit"] == "max_tool_calls"


async def test_the_same_call_again_repeats_its_result_and_a_third_ends_the_calling(ask: Ask):
    model = Script(calls(LIST), calls(LIST), calls(LIST), says("Enough."))

    told = await ask(model)

    first, second, third = told.of("tool.result")
    assert (first["cached"], second["cached"]) == (False, True)
    assert second["data"]["segments"] == first["data"]["segments"]
    assert third["error"]["code"] == "repeated_call"
    assert model.requests[3].tools_allowed is False
    assert told.frames[-1]["limit"] == "repeated_calls"


async def test_equal_calls_of_one_turn_are_run_once(ask: Ask):
    told = await ask(Script(calls(LIST, LIST), says("Done.")))

    assert [result["cached"] for result in told.of("tool.result")] == [False, True]


async def test_a_failed_turn_is_asked_again_once_and_what_it_said_is_taken_back(ask: Ask):
    broken = [
        models.TextDelta("Half a"),
        models.ToolCallStarted("c1", "list_segments"),
        Unavailable("down", code="upstream_overloaded", context={"retry_after_ms": 0}),
    ]
    told = await ask(Script(broken, says("A whole answer.")))

    reset = told.one("turn.reset")
    assert reset["reason"] == "upstream_overloaded"
    assert set(reset["discard"]) == {"text_1", "c1"}
    assert [turn["attempt"] for turn in told.of("turn.started")] == [1, 2]
    assert told.frames[-1]["outcome"] == "completed"
    assert told.frames[-1]["turns"] == 1


@pytest.mark.parametrize(("said", "attempts"), [([], 3), ([models.TextDelta("Half")], 2)])
async def test_a_turn_is_asked_three_times_but_only_once_more_after_it_has_said_something(ask: Ask, said, attempts):
    fault = Unavailable("down", code="upstream_overloaded", context={"retry_after_ms": 0})

    told = await ask(Script(*[[*said, fault]] * 3))

    assert told.frames[-1]["code"] == "upstream_overloaded"
    assert [turn["attempt"] for turn in told.of("turn.started")] == list(range(1, attempts + 1))


@pytest.mark.parametrize(
    ("code", "retryable", "attempts"),
    [
        ("upstream_overloaded", True, 2),
        ("upstream_timeout", True, 2),
        ("model_output_invalid", True, 2),
        ("upstream_spend_limit", False, 1),
        ("upstream_auth", False, 1),
        ("context_too_long", False, 1),
    ],
)
async def test_a_model_that_stays_away_ends_the_run_with_its_code(ask: Ask, code, retryable, attempts):
    fault = Unavailable("postgres://user:secret@host", code=code, context={"retry_after_ms": 0})

    told = await ask(Script(*[[models.TextDelta("Half"), fault]] * attempts))

    end = told.frames[-1]
    assert (end["type"], end["code"], end["retryable"]) == ("run.error", code, retryable)
    assert len(told.of("turn.started")) == attempts
    assert "secret" not in str(told.frames)


async def test_a_turn_without_an_end_is_a_failed_turn(ask: Ask):
    told = await ask(Script([models.TextDelta("Half")], says("Whole.")))

    assert told.one("turn.reset")["reason"] == "upstream_disconnected"
    assert told.frames[-1]["outcome"] == "completed"


async def test_a_call_cut_by_the_token_limit_is_never_run(ask: Ask):
    call = ToolCall("c1", "list_segments", {"limit": 5})
    cut = [call, TurnEnded("max_tokens", AssistantMessage("", (call,)), TOKENS)]
    model = Script(cut, says("Shorter."))

    told = await ask(model)

    assert told.one("tool.result")["error"]["code"] == "interrupted"
    assert [request.max_tokens for request in model.requests] == [8000, 16000]
    assert told.frames[-1]["outcome"] == "completed"


async def test_an_answer_cut_by_the_token_limit_ends_with_that_limit(ask: Ask):
    told = await ask(Script([models.TextDelta("Long…"), TurnEnded("max_tokens", AssistantMessage("Long…"), TOKENS)]))

    assert (told.frames[-1]["outcome"], told.frames[-1]["limit"]) == ("limit", "max_tokens")


async def test_a_refusal_is_said_in_our_words(ask: Ask):
    told = await ask(Script([TurnEnded("refusal", AssistantMessage(""), TOKENS)]))

    assert told.frames[-1]["outcome"] == "refused"
    assert "cannot help" in told.text


async def test_a_run_that_takes_too_long_ends_with_an_error(ask: Ask):
    silent = asyncio.Event()

    told = await ask(Script([models.TextDelta("Wait"), silent]), copilot_deadline_seconds=1)

    assert told.frames[-1]["code"] == "deadline_exceeded"
    assert told.frames[-1]["retryable"] is True


async def test_our_own_mistake_is_logged_and_not_told(ask: Ask):
    told = await ask(Script([ValueError("password=hunter2")]))

    assert told.frames[-1]["code"] == "internal"
    assert "hunter2" not in str(told.frames)


def changed(copilot: Copilot, **parts: Any) -> Copilot:
    """*copilot* with other use cases."""
    return structs.replace(copilot, use_cases=structs.replace(copilot.use_cases, **parts))


async def test_a_mistake_inside_a_tool_is_logged_and_not_told(shop: Shop):
    resources = wired(shop.resources, Script(calls(("list_segments", {})), says("Sorry.")))
    incomplete: Any = None

    told = await run_to_end(changed(resources, segments=incomplete), shop.tenant, asking())

    assert told.one("tool.result")["error"]["code"] == "internal"
    assert "NoneType" not in str(told.frames)
    assert told.frames[-1]["outcome"] == "completed"


async def test_a_store_that_is_gone_ends_the_run_and_the_other_calls_with_it(shop: Shop):
    model = Script(calls(LIST, ("query_top_events", {"from": "2026-06-01", "to": "2026-06-15"})), says("Never said."))

    async with open_clickhouse("clickhouse://app:app@127.0.0.1:1/db") as gone, locked(shop) as waiting:
        told = await run_to_end(changed(wired(shop.resources, model), analytics=Analytics(gone)), shop.tenant, asking())
        await eventually(lambda: waiting(0))

    assert told.frames[-1]["code"] == "tool_backend_unavailable"
    assert {result["error"]["code"] for result in told.of("tool.result")} == {"interrupted", "tool_backend_unavailable"}
    assert "127.0.0.1" not in str(told.frames)


async def test_a_run_that_is_left_closes_its_model_at_once(shop: Shop):
    model = Script([models.TextDelta("Wait"), asyncio.Event()])
    run = await prepare_run(wired(shop.resources, model), shop.tenant, asking())

    async with asyncio.timeout(1):
        async with run.drive():
            while not model.requests:
                await run.events.take()
        assert model.closed == 1


async def test_a_run_that_is_stopped_says_why(shop: Shop):
    draining = asyncio.Event()
    run = await prepare_run(
        wired(shop.resources, Script([models.TextDelta("Wait"), asyncio.Event()])), shop.tenant, asking()
    )
    told: list[Event] = []

    async with asyncio.timeout(5), run.drive(draining=draining):
        while batch := await run.events.take():
            told += batch
            draining.set()

    assert isinstance(told[-1], RunError)
    assert (told[-1].code, told[-1].retryable) == ("server_draining", True)


async def test_a_run_that_is_stopped_before_it_began_still_has_a_start_and_an_end(shop: Shop):
    run = await prepare_run(wired(shop.resources, Script([asyncio.Event()])), shop.tenant, asking())
    run.stop("server_draining")
    told: list[Event] = []

    async with asyncio.timeout(5), run.drive():
        while batch := await run.events.take():
            told += batch

    assert isinstance(told[0], RunStarted)
    assert isinstance(told[-1], RunError)


async def test_a_slow_reader_slows_the_model_down(shop: Shop):
    wrote: list[int] = []

    def endless(_request: models.ModelRequest) -> Any:
        class Endless(list[Any]):
            def __iter__(self):
                while True:
                    wrote.append(1)
                    yield models.TextDelta("and on ")

        return Endless()

    run = await prepare_run(wired(shop.resources, Script(endless)), shop.tenant, asking())

    async with asyncio.timeout(5), run.drive():
        await run.events.take()
        for _ in range(100):
            await asyncio.sleep(0)

    assert len(wrote) < 200


async def test_a_draft_without_a_button_gets_one_at_the_end(ask: Ask):
    proposal = {"name": "Recent buyers", "description": "Bought this week.", "definition": BUYERS}
    told = await ask(Script(calls(("propose_segment", proposal)), says("Here it is.")))

    button = told.one("component")
    assert button["name"] == "CreateSegmentCTA"
    assert button["props"]["draft_id"] == told.one("segment.draft")["draft_id"]
    assert "tool_call_id" not in button


async def test_a_draft_with_its_button_gets_no_second_one(ask: Ask):
    proposal = {"name": "Recent buyers", "description": "Bought this week.", "definition": BUYERS}

    def offer(request):
        draft_id = next(
            word
            for word in request.messages[-1].results[0].content.split('"')
            if word.startswith("draft_") and word != "draft_id"
        )
        return calls(("display_create_segment_cta", {"draft_id": draft_id}))(request)

    told = await ask(Script(calls(("propose_segment", proposal)), offer, says("Here it is.")))

    assert told.one("component")["tool_call_id"] == told.of("tool.result")[-1]["tool_call_id"]


async def test_a_model_that_drafts_and_says_nothing_is_helped_out(ask: Ask):
    proposal = {"name": "Recent buyers", "description": "Bought this week.", "definition": BUYERS}
    silent = [TurnEnded("end_turn", AssistantMessage(""), TOKENS)]

    told = await ask(Script(calls(("propose_segment", proposal)), silent))

    assert "Recent buyers" in told.text
    assert "2 of 4 users" in told.text


async def test_a_frontend_without_a_component_is_offered_no_tool_for_it(ask: Ask):
    model = Script(says("Hello."))

    await ask(model, asking(options={"components": ["MetricCard"]}))

    offered = {tool.name for tool in model.requests[0].tools}
    assert "display_metric_card" in offered
    assert "display_event_chart" not in offered


async def test_reasoning_is_told_only_when_asked_for(ask: Ask):
    turn = [models.ReasoningDelta("Hm."), *says("Fine.")]

    silent = await ask(Script(turn))
    told = await ask(Script(turn), asking(options={"reasoning": "summary"}))

    assert silent.of("reasoning.delta") == []
    assert [frame["delta"] for frame in told.of("reasoning.delta")] == ["Hm."]


async def test_a_link_in_a_text_loses_its_address(ask: Ask):
    pieces = ["See ![chart](htt", "ps://evil.example/?d=", "secret) and [this](http", "://evil.example) now"]
    turn = [*map(models.TextDelta, pieces), TurnEnded("end_turn", AssistantMessage(""), TOKENS)]

    told = await ask(Script(turn))

    assert told.text == "See chart and this now"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "/messages/0"),
        ({"messages": [{"role": "user", "content": " "}]}, "/messages/0"),
        ({"messages": [{"role": "user", "content": "a\0"}]}, "/messages/0/content"),
        ({"context": {"timezone": "Mars/Olympus"}}, "/context/timezone"),
        ({"context": {"as_of": "1815-06-18T12:00:00Z"}}, "/context/as_of"),
        ({"options": {"model": "gpt"}}, "/options/model"),
        ({"messages": [{"role": "user", "content": "x" * 90_000}] * 5}, "/messages"),
    ],
)
async def test_what_types_cannot_refuse_is_refused_before_the_run(shop: Shop, body, pointer):
    with pytest.raises(InvalidInput) as caught:
        await prepare_run(wired(shop.resources, Script()), shop.tenant, asking(**body))

    assert [finding.pointer for finding in caught.value.findings] == [pointer]
