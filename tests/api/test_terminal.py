"""`ask` in a terminal: what a person sees of a run, and how they answer."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from segment_copilot.commands.chat import STOPPED, converse
from segment_copilot.commands.options import Service
from segment_copilot.commands.screen import Screen
from segment_copilot.copilot import models
from segment_copilot.copilot.models import UserMessage
from segment_copilot.errors import SegmentCopilotError, Unavailable
from segment_copilot.events import Event, observe_names, write_block
from segment_copilot.lists import Window
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


def recording(*, terminal: bool = False, width: int = 100) -> Console:
    """A console that keeps what is drawn."""
    return Console(file=io.StringIO(), record=True, width=width, highlight=False, force_terminal=terminal)


def next_line(lines: Iterator[Any]) -> str:
    """What the person types next; an exception among the lines is raised, as Ctrl-C is."""
    match next(lines, EOFError()):
        case BaseException() as ending:
            raise ending
        case line:
            return line


@pytest.fixture
def talk(server: Any, use: Any) -> Talk:
    """Converse with a model that follows a script; the exit code, and what was drawn."""

    async def run(
        *turns: Any, question: str | None = "How are sales?", typed: Iterable[str] | None = None, **options: Any
    ) -> tuple[int, str]:
        """*typed*: what a person types, line after line; None: there is nobody."""
        console = options.pop("console", recording())
        lines = iter(typed or ())
        if turns:
            use(Script(*turns))
        wanted = {
            "service": Service(server.url, server.key),
            "console": console,
            "read": lambda: next_line(lines),
            "person": typed is not None,
            "chat": False,
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
    assert "segments create - <<'JSON'\n{" in drawn
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

    code, drawn = await talk(typed=["1", "", "And now?"], chat=True)

    assert code == 0
    assert drawn.index("Which visits?") < drawn.index("Those of /pricing.") < drawn.index("Fine.")
    assert "/pricing" in str(script.requests[1].messages[-1])
    history = [one for one in script.requests[2].messages if isinstance(one, UserMessage)]
    assert len(script.requests[2].messages) >= 5
    assert "And now?" in str(history[-1])


@pytest.mark.parametrize(("typed", "answer"), [(["2"], "*"), (["9"], "9"), (["the blog"], "the blog")])
async def test_a_person_types_a_number_or_words(server: Any, use: Any, talk: Talk, typed: list[str], answer: str):
    script = Script(calls(("ask_user", QUESTION), text="Which visits?"), says("Well."))
    use(script)

    code, drawn = await talk(typed=typed)

    assert (code, drawn.count("Well.")) == (0, 1)
    assert f'"answer":"{answer}"' in str(script.requests[1].messages[-1]).replace(": ", ":").replace("\\", "")


async def test_where_words_are_not_allowed_a_person_is_asked_again(talk: Talk):
    closed = QUESTION | {"allow_free_text": False}

    _, drawn = await talk(calls(("ask_user", closed)), says("Well."), typed=["the blog", "3", "1"])

    assert drawn.count("Type a number from 1 to 2; Enter leaves the question.") == 3
    assert drawn.endswith("Well.\n")


async def test_enter_leaves_a_question_and_the_next_one_is_no_answer_to_it(server: Any, use: Any, talk: Talk):
    script = Script(calls(("ask_user", QUESTION), text="Which visits?"), says("Twelve."))
    use(script)

    code, drawn = await talk(typed=["", "How many orders?"], chat=True)

    assert code == 0
    assert "Enter leaves the question" in drawn
    assert drawn.endswith("Twelve.\n\n")
    assert len(script.requests) == 2
    told = [str(message) for message in script.requests[1].messages]
    assert "How many orders?" in told[-1]
    assert "cancelled" in told[-2]
    assert "How many orders?" not in told[-2]


async def test_enter_at_a_question_ends_without_a_chat(talk: Talk):
    code, drawn = await talk(calls(("ask_user", QUESTION), text="Which visits?"), typed=[""])

    assert code == 0
    assert drawn.endswith("Enter leaves the question.\n")


async def test_the_draft_just_shown_is_saved_once_and_under_another_name(server: Any, talk: Talk):
    tenant = (await server.resources.keys.identify(server.key)).tenant
    before = (await server.resources.segments.list(tenant)).count
    typed = ["/save", "Who?", "/save", "/save", "/save [red]Mine", "/update", "/help", "/quit", "never asked"]

    code, drawn = await talk(calls(("propose_segment", PROPOSAL)), says("Done."), question=None, typed=typed, chat=True)

    stored = (await server.resources.segments.list(tenant, Window(100))).results[before:]
    assert code == 0
    assert [(each.name, each.description) for each in stored] == [
        ("Known country", "We know where they live."), ("[red]Mine", "We know where they live."),
    ]  # fmt: skip
    assert "There is no draft yet." in drawn
    assert "nothing is stored yet. /save saves it.\n" in drawn
    assert "button" not in drawn
    assert f"✓ Saved segment {stored[0].id}: Known country." in drawn
    assert f"compute {stored[0].id}\n" in drawn
    assert f"It is saved already, as segment {stored[0].id}: Known country." in drawn
    assert "This draft was made from no saved segment." in drawn
    assert re.search(r"/quit +leave; so does Ctrl-D", drawn)
    assert "never asked" not in drawn


async def test_an_edit_of_a_saved_segment_changes_that_one(server: Any, talk: Talk, segment_id: int):
    patch = [{"op": "replace", "path": "/conditions/0/event_type", "value": "context_identified"}]
    edit = calls(("revise_segment", {"segment_id": segment_id, "patch": patch}))

    code, drawn = await talk(edit, says("Done."), typed=["/update"], chat=True)

    tenant = (await server.resources.keys.identify(server.key)).tenant
    stored = await server.resources.segments.get(tenant, segment_id)
    assert code == 0
    assert "/update gives it to the segment that it was made from." in " ".join(drawn.split())
    assert stored.version == 2
    assert f"✓ Changed segment {segment_id}: [bold]Stored." in drawn


async def test_what_cannot_be_saved_or_asked_is_told_and_the_chat_goes_on(server: Any, use: Any, talk: Talk):
    typed = ["/save " + "x" * 300, KeyboardInterrupt(), "And now?", "/quit"]
    use(Script(calls(("propose_segment", PROPOSAL)), says("Done."), says("Fine.")))

    code, drawn = await talk(typed=typed, chat=True)

    assert code == 0
    assert "200" in drawn[drawn.index("Done.") :]
    assert "Stopped. /quit leaves.\n" in drawn
    assert drawn.endswith("Fine.\n")


async def test_a_chat_without_a_question_begins_with_the_service_and_its_commands(talk: Talk):
    code, drawn = await talk(question=None, typed=[], chat=True)

    assert code == 0
    assert "/help lists the commands" in drawn
    with pytest.raises(SegmentCopilotError, match="does not answer"):
        await talk(question=None, typed=[], chat=True, service=Service("http://127.0.0.1:9", "sk_x"))


@pytest.mark.parametrize("width", [20, 33, 47])
async def test_no_word_is_cut_at_the_edge_of_a_terminal(talk: Talk, width: int):
    text = "Users who placed an order more than three times in the last ninety days are rather many.\n\nNot so?  Well."
    deltas = [models.TextDelta(text[start : start + 5]) for start in range(0, len(text), 5)]

    _, drawn = await talk([*deltas, *says("")[-1:]], console=recording(terminal=True, width=width))

    told = drawn[drawn.index("Users who") :]
    assert told.split() == text.split()
    assert max(map(len, told.splitlines())) <= width
    assert "\n\nNot so?  Well." in told


async def test_an_error_is_told_and_is_the_exit_code(talk: Talk):
    code, drawn = await talk([models.TextDelta("Half "), Unavailable("secret", code="upstream_spend_limit")])

    assert code == 1
    assert "The language model's spending limit is reached. Ask an administrator. (upstream_spend_limit)" in drawn
    assert "secret" not in drawn


async def test_a_refused_or_unreachable_service_is_one_sentence(server: Any, talk: Talk):
    with pytest.raises(SegmentCopilotError, match="does not exist, was revoked or has expired"):
        await talk(service=Service(server.url, "sk_nobody"))
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 does not answer"):
        await talk(service=Service("http://127.0.0.1:9", server.key))


async def test_ctrl_c_stops(talk: Talk):
    code, drawn = await talk(calls(("ask_user", QUESTION), text="Which visits?"), typed=[KeyboardInterrupt()])

    assert code == STOPPED
    assert drawn.endswith("Stopped.\n")


def test_nothing_that_comes_from_data_is_obeyed_by_the_terminal():
    console = recording()
    screen = Screen(console)
    evil = "\x1b]0;owned\x07\x1b[2J\u009b31m[red]x[/red]"

    screen.show({"type": "text.delta", "id": "t", "delta": evil})
    screen.show({"type": "tool.start", "tool_call_id": "c", "name": evil, "title": evil})
    screen.show({"type": "tool.result", "tool_call_id": "c", "ok": True, "summary": evil, "duration_ms": 1})
    screen.show({"type": "component", "name": "MetricCard", "props": {"title": evil, "value": 1, "unit": evil}})
    screen.show({"type": "warning", "message": evil})

    drawn = console.export_text()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", drawn)
    assert drawn.count("[red]x[/red]") == 7
