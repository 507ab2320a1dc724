"""`ask` in a terminal: what a person sees of a run, and how they answer."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from segment_copilot.commands.ask import STOPPED, converse, person_at_prompt
from segment_copilot.commands.screen import Screen
from segment_copilot.copilot import models
from segment_copilot.copilot.models import UserMessage
from segment_copilot.errors import SegmentCopilotError, Unavailable
from segment_copilot.events import Event, observe_names, write_block
from tests.support.copilot_runs import Script, calls, says

PROPOSAL = {
    "name": "Known country",
    "description": "We know where they live.",
    "definition": {
        "logic": "AND",
        "conditions": [{"type": "user_property", "property": "country", "operator": "is_set"}],
    },
    "assumptions": ["All countries"],
    "unmapped": ["the mood"],
}
QUESTION = {
    "question": "Which visits?",
    "options": [{"label": "Pricing", "value": "/pricing", "effect": "Fewer"}, {"label": "Any", "value": "*"}],
}
PERIOD = {"from": "2026-06-01", "to": "2026-06-03"}

Talk = Callable[..., Any]


def recording() -> Console:
    """A console that is no terminal, 100 wide."""
    return Console(file=io.StringIO(), record=True, width=100, highlight=False)


@pytest.fixture
def talk(server: Any, use: Any) -> Talk:
    """Converse with a model that follows a script; the exit code, and what was drawn."""

    async def run(*turns: Any, question: str = "How are sales?", **options: Any) -> tuple[int, str]:
        console = recording()
        if turns:
            use(Script(*turns))
        wanted = {
            "url": server.url,
            "key": server.key,
            "console": console,
            "person": None,
            "next_question": None,
        } | options
        code = await asyncio.to_thread(converse, question, **wanted)
        return code, console.export_text()

    return run


@pytest.fixture(scope="module", autouse=True)
async def segment_id(server: Any) -> int:
    """A stored segment, of a tenant that knows one user."""
    tenant = (await server.resources.keys.identify(server.key)).tenant
    happened = [
        Event(
            tenant_id=tenant.id,
            event_id=event_type,
            user_id="ana",
            event_type=event_type,
            occurred_at=datetime(2026, 6, 1, 12, tzinfo=UTC),
            payload=payload,
        )
        for event_type, payload in (("context_identified", '{"country": "ES"}'), ("order_placed", "{}"))
    ]
    await write_block(server.resources.clickhouse, happened, token="happened")
    await observe_names(server.resources.postgres, happened)
    server.resources.discovery.forget(tenant)
    definition = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
    return (await server.resources.segments.create(tenant, name="[bold]Stored", definition=definition)).segment.id


async def test_the_four_components_and_a_draft_are_drawn(talk: Talk, segment_id: int):
    code, drawn = await talk(
        calls(("query_event_volume", PERIOD), ("propose_segment", PROPOSAL), ("no_such_tool", {}), text="I look."),
        calls(
            ("display_metric_card", {"title": "Users", "value": 1, "unit": "users", "note": "as of now"}),
            ("display_segment_table", {"title": "Segments", "segment_ids": [segment_id]}),
            ("display_event_chart", {"title": "Volume", "measure": "events"}),
        ),
        says("Done."),
    )

    assert code == 0
    assert "› How are sales?" in drawn
    assert "model scripted · as of 20" in drawn
    assert "I look." in drawn
    assert re.search(r"✓ .* \(query_event_volume\) .* ms", drawn)
    assert re.search(r"✗ .* \(no_such_tool\)", drawn)
    assert re.search(r"╭─ Users ─+╮\n│ 1 users +│\n│ as of now +│", drawn)
    assert re.search(rf"{segment_id} +\[bold\]Stored +dynamic", drawn)
    assert re.search(r"Volume \(events\)  2026-06-01 – 2026-06-0\d\n  2026-06-01 █{40} 1\n  2026-06-02  0\n", drawn)
    assert "╭─ Draft: Known country ─" in drawn
    assert "Users whose country is known." in drawn
    assert re.search(r"│ 1 of 1 users \(100 %\) as of 20", drawn)
    assert "Assumed: All countries" in drawn
    assert "Not expressed: the mood" in drawn
    assert "Create “Known country”" in drawn
    assert "/api/segments/ \\\n" in drawn
    assert '"property":"country"' in drawn.replace("\n", "")


async def test_an_edit_shows_what_it_changed(talk: Talk):
    changed = [{"op": "add", "path": "/conditions/1", "value": {"type": "event_count", "event_type": "order_placed"}}]

    _, drawn = await talk(
        calls(("propose_segment", PROPOSAL)), calls(("revise_segment", {"patch": changed})), says("Done.")
    )

    assert '+ /conditions/1 {"type":"event_count"' in drawn


@pytest.mark.parametrize("text", ["", "Which visits?"])
async def test_without_a_terminal_a_question_is_shown_with_its_options(talk: Talk, text: str):
    code, drawn = await talk(calls(("ask_user", QUESTION), text=text))

    assert code == 0
    assert drawn.count("Which visits?") == 1
    assert drawn.endswith("  1. Pricing Fewer\n  2. Any\n")


async def test_on_a_terminal_the_answer_goes_on_with_the_run(server: Any, use: Any, talk: Talk):
    script = Script(calls(("ask_user", QUESTION), text="Which visits?"), says("Those of /pricing."), says("Fine."))
    use(script)
    asked: list[Any] = []

    def person(question: Any) -> str:
        asked.append(question["question"])
        return question["options"][0]["value"]

    questions = iter(["And now?", ""])
    code, drawn = await talk(person=person, next_question=lambda: next(questions))

    assert (code, asked) == (0, ["Which visits?"])
    assert drawn.index("Which visits?") < drawn.index("Those of /pricing.") < drawn.index("Fine.")
    assert "/pricing" in str(script.requests[1].messages[-1])
    history = [one for one in script.requests[2].messages if isinstance(one, UserMessage)]
    assert len(script.requests[2].messages) >= 5
    assert "And now?" in str(history[-1])


@pytest.mark.parametrize(("typed", "answer"), [(["2"], "*"), (["9"], "9"), (["the blog"], "the blog"), ([" "], None)])
def test_a_person_types_a_number_or_words(monkeypatch: pytest.MonkeyPatch, typed, answer):
    console = recording()
    monkeypatch.setattr(console, "input", lambda _prompt: typed.pop(0))
    question = QUESTION | {"response_schema": {"properties": {"answer": {"examples": ["/pricing", "*"]}}}}

    assert person_at_prompt(console)(question) == answer


def test_where_words_are_not_allowed_a_person_is_asked_again(monkeypatch: pytest.MonkeyPatch):
    console = recording()
    typed = iter(["the blog", "3", "1"])
    monkeypatch.setattr(console, "input", lambda _prompt: next(typed))
    question = QUESTION | {"response_schema": {"properties": {"answer": {"enum": ["/pricing", "*"]}}}}

    assert person_at_prompt(console)(question) == "/pricing"
    assert console.export_text().count("Type a number from 1 to 2") == 2


async def test_an_error_is_told_and_is_the_exit_code(talk: Talk):
    code, drawn = await talk([models.TextDelta("Half "), Unavailable("secret", code="upstream_spend_limit")])

    assert code == 1
    assert "The language model's spending limit is reached. Ask an administrator. (upstream_spend_limit)" in drawn
    assert "secret" not in drawn


async def test_a_refused_or_unreachable_service_is_one_sentence(talk: Talk):
    with pytest.raises(SegmentCopilotError, match="does not exist or was revoked"):
        await talk(key="sk_nobody")
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 does not answer"):
        await talk(url="http://127.0.0.1:9")


async def test_ctrl_c_stops(talk: Talk):
    def person(_question: Any) -> str:
        raise KeyboardInterrupt

    code, drawn = await talk(calls(("ask_user", QUESTION), text="Which visits?"), person=person)

    assert code == STOPPED
    assert drawn.endswith("Stopped.\n")


def test_nothing_that_comes_from_data_is_obeyed_by_the_terminal():
    console = recording()
    screen = Screen(console, "http://x")
    evil = "\x1b]0;owned\x07\x1b[2J\u009b31m[red]x[/red]"

    screen.show({"type": "text.delta", "id": "t", "delta": evil})
    screen.show({"type": "tool.start", "tool_call_id": "c", "name": evil, "title": evil})
    screen.show({"type": "tool.result", "tool_call_id": "c", "ok": True, "summary": evil, "duration_ms": 1})
    screen.show({"type": "component", "name": "MetricCard", "props": {"title": evil, "value": 1, "unit": evil}})
    screen.show({"type": "warning", "message": evil})

    drawn = console.export_text()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", drawn)
    assert drawn.count("[red]x[/red]") == 7
