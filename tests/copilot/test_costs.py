"""Tokens, their cost, and what a run does when it has used up what it may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from segment_copilot.copilot import models
from segment_copilot.copilot.models import AssistantMessage, ToolResults, TurnEnded
from segment_copilot.copilot.runs.prices import Price, price_of
from segment_copilot.copilot.runs.run import prepare_run
from segment_copilot.copilot.stream.usage import Usage
from segment_copilot.errors import InvalidInput, Unavailable
from segment_copilot.settings import read_settings
from tests.support.copilot_runs import BUYERS, TOKENS, Ask, Script, Shop, asking, calls, says, wired

LIST = ("list_segments", {})
PROPOSAL = {"name": "There", "description": "Of there.", "definition": BUYERS}


class Sonnet(Script):
    """A script by a model whose price is listed."""

    name = "claude-sonnet-5-5"


def test_a_price_counts_what_the_cache_read_and_wrote():
    usage = Usage(1_000_000, 100_000, 400_000, 300_000, 100_000)

    assert Price(2, 10).of(usage) == pytest.approx(0.3 * 2 + 0.4 * 0.2 + 0.2 * 2.5 + 0.1 * 4 + 0.1 * 10)


def test_a_model_without_a_listed_price_has_one_only_when_told():
    assert price_of("somebody-elses") is None
    assert price_of("somebody-elses", "0.5/1.5") == Price(0.5, 1.5)
    assert price_of("claude-sonnet-5-5") == Price(2, 10)


def test_a_price_that_is_none_is_refused_at_the_start():
    with pytest.raises(InvalidInput, match="CLAUDE_PRICE"):
        read_settings({"CLAUDE_PRICE": "cheap"})


async def test_every_turn_and_the_run_tell_what_they_cost(ask: Ask):
    told = await ask(Sonnet(calls(LIST), says("Fine.")))

    one = (20 * 2 + 60 * 0.2 + 20 * 2.5 + 10 * 10) / 1_000_000
    assert [turn["usage"]["cost_usd"] for turn in told.of("turn.finished")] == [pytest.approx(one, abs=1e-6)] * 2
    assert told.of("usage")[-1]["cost_usd"] == pytest.approx(2 * one, abs=1e-6)
    assert told.frames[-1]["usage"]["cost_usd"] == pytest.approx(2 * one, abs=1e-6)
    assert told.frames[0]["limits"]["max_cost_usd"] == 0.5


async def test_a_model_without_a_price_tells_none(ask: Ask):
    told = await ask(Script(says("Fine.")))

    assert "cost_usd" not in told.frames[-1]["usage"]
    assert "max_cost_usd" not in told.frames[0]["limits"]


async def test_a_run_that_has_cost_enough_ends(ask: Ask):
    model = Sonnet(calls(LIST), says("Never said."))

    told = await ask(model, copilot_max_cost_usd=0.0001)

    assert (told.frames[-1]["outcome"], told.frames[-1]["limit"]) == ("limit", "max_cost")
    assert len(model.requests) == 1
    assert "may cost" in told.text


async def test_an_answer_that_is_whole_counts_although_it_was_dear(ask: Ask):
    told = await ask(Sonnet(says("Fine.")), copilot_max_cost_usd=0.0001)

    assert told.frames[-1]["outcome"] == "completed"


async def test_tokens_of_an_answer_that_was_cut_are_estimated(ask: Ask):
    counted = models.TokensCounted(Usage(100, 1, 60, 20))
    cut = [counted, models.TextDelta("x" * 400), Unavailable("down", code="upstream_auth")]

    told = await ask(Sonnet(cut))

    usage = told.frames[-1]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["estimated"]) == (100, 100, True)
    assert usage["cost_usd"] > 0


async def test_tokens_of_a_turn_whose_tools_failed_are_exact(shop: Shop, ask: Ask):
    told = await ask(Script(calls(LIST), [Unavailable("down", code="upstream_auth")]))

    usage = told.frames[-1]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (100, 10)
    assert "estimated" not in usage


async def test_a_run_that_is_left_writes_down_what_it_used(shop: Shop):
    counted = models.TokensCounted(Usage(100, 1, 60, 20))
    model = Sonnet([counted, models.TextDelta("Wait"), asyncio.Event()])
    run = await prepare_run(wired(shop.resources, model), shop.tenant, asking())

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(5), run.drive():
            while not any(getattr(event, "delta", "") for event in await run.events.take()):
                pass

    (ended,) = [line for line in logs if line["event"] == "copilot.run"]
    assert (ended["outcome"], ended["input_tokens"], ended["estimated"]) == ("cancelled", 100, True)
    assert ended["cost_usd"] > 0


# What is too long


TOO_LONG = [
    [Unavailable("long", code="context_too_long")],
    [models.TextDelta("Half"), TurnEnded("context_too_long", AssistantMessage("Half"), TOKENS)],
]


@pytest.mark.parametrize("fault", TOO_LONG, ids=["refused", "while it wrote"])
async def test_a_conversation_that_is_too_long_loses_what_older_calls_gave(ask: Ask, fault: list[Any]):
    model = Script(calls(LIST), calls(("list_activations", {})), fault, says("Fine."))

    told = await ask(model)

    assert told.frames[-1]["outcome"] == "completed"
    assert [warning["code"] for warning in told.of("warning")] == ["history_compacted"]
    first, second = [message for message in model.requests[3].messages if isinstance(message, ToolResults)]
    assert "Left out" in first.results[0].content
    assert second == next(m for m in reversed(model.requests[2].messages) if isinstance(m, ToolResults))
    assert told.text.endswith("Fine.")


@pytest.mark.parametrize("fault", TOO_LONG, ids=["refused", "while it wrote"])
async def test_a_conversation_that_stays_too_long_ends_the_run(ask: Ask, fault: list[Any]):
    nothing_to_leave_out = await ask(Script(calls(LIST), fault))
    still_too_long = await ask(Script(calls(LIST), calls(("list_activations", {})), fault, fault))

    for told in (nothing_to_leave_out, still_too_long):
        assert told.frames[-1]["code"] == "context_too_long"


# Repairs


async def test_a_definition_that_failed_before_ends_the_repairs(ask: Ask):
    broken = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "nothing_like_it"}]}
    again = {**PROPOSAL, "definition": broken, "name": "The same by another name"}

    told = await ask(
        Script(
            calls(("propose_segment", {**PROPOSAL, "definition": broken})),
            calls(("propose_segment", again)),
            calls(("propose_segment", PROPOSAL)),
            says("Sorry."),
        )
    )

    errors = [result["error"] for result in told.of("tool.result")]
    assert [error["retry"] for error in errors] == ["adjust", "never", "never"]
    assert [error["code"] for error in errors[1:]] == ["too_many_repairs"] * 2
