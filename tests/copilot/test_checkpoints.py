"""Checkpoints: the next run stands on the exact messages of the one before, and on nothing that a client changed."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from segment_copilot.copilot import models
from segment_copilot.copilot.conversation.checkpoint import (
    MAX_BYTES,
    Checkpoint,
    CheckpointRefused,
    Secret,
    Signer,
    Utterance,
)
from segment_copilot.copilot.models import AssistantMessage, ToolCall, ToolResult, ToolResults, TurnEnded, UserMessage
from segment_copilot.copilot.models.claude.model import Claude
from segment_copilot.copilot.runs.run import prepare_run
from segment_copilot.errors import Conflict, InvalidInput, Unavailable
from tests.support.copilot_runs import BUYERS, TOKENS, Ask, Script, Shop, Told, asking, calls, heard, says, wired
from tests.support.messages_server import MessagesServer, answer, run_messages_server, text, thinking, tool_use
from tests.support.resources import NOW

LIST = ("list_segments", {})
QUESTION = ("ask_user", {"question": "Which country?", "options": [{"label": "Spain", "value": "ES"}]})
PROPOSAL = ("propose_segment", {"name": "Buyers", "description": "They bought.", "definition": BUYERS})


def token(told: Told) -> str:
    """The last checkpoint of a run."""
    return told.of("checkpoint")[-1]["token"]


def then(told: Told, *words: str, first: str = "How are sales?", **more: Any) -> Any:
    """The next request: the first question, what the run said, and more words of the person."""
    messages = [{"role": "user", "content": first}, {"role": "assistant", "content": told.text}]
    messages += [{"role": "user", "content": one} for one in words]
    return asking(messages=messages, **{"checkpoint": token(told), **more})


def warnings(told: Told) -> list[str]:
    return [frame["code"] for frame in told.of("warning")]


async def test_the_next_run_sees_the_calls_and_results_of_the_one_before(ask: Ask):
    before = await ask(Script(calls(LIST, text="I look."), says("Two segments.")))
    model = Script(says("Still two."))

    after = await ask(model, then(before, "And now?"))

    question, spoken, results, answered, asked = heard(model.requests[0])
    assert (question, asked) == (UserMessage("How are sales?"), UserMessage("And now?"))
    assert isinstance(spoken, AssistantMessage)
    assert [call.name for call in spoken.tool_calls] == ["list_segments"]
    assert isinstance(results, ToolResults)
    assert json.loads(results.results[0].content)["total"] == 2
    assert answered == AssistantMessage("Two segments.")
    assert warnings(after) == []
    assert after.frames[0]["thread_id"] == before.frames[0]["thread_id"]


async def test_a_catalog_that_did_not_change_is_told_once(ask: Ask):
    before = await ask(Script(says("Fine.")))
    model = Script(says("Still."))

    await ask(model, then(before, "And now?"))

    first, _, second = model.requests[0].messages
    assert isinstance(first, UserMessage)
    assert isinstance(second, UserMessage)
    assert "order_placed" in first.workspace
    assert "order_placed" not in second.workspace
    assert "2026-06-15T12:00:00Z" in second.workspace


# Claude


@pytest.fixture
async def server() -> AsyncGenerator[MessagesServer]:
    async with run_messages_server() as server:
        yield server


@pytest.fixture
async def claude(server: MessagesServer) -> AsyncGenerator[Claude]:
    async with AsyncAnthropic(api_key="sk-test", base_url=server.url, max_retries=0) as client:
        yield Claude(client, name="claude-sonnet-5-5", effort="low")


@pytest.mark.parametrize("turns", [8, 2])
async def test_what_claude_thought_still_holds_because_its_prefix_is_the_same(
    ask: Ask, server: MessagesServer, claude: Claude, turns: int
):
    """The server refuses a thought whose conversation has changed; with 2 turns the second may not call."""
    server.answers(
        answer(thinking("Which segments?"), tool_use("t1", "list_segments", '{"limit": 5}'), stop_reason="tool_use"),
        answer(thinking("Two."), text("Two segments.")),
        answer(thinking("Again."), text("Still two.")),
    )
    before = await ask(claude, copilot_max_turns=turns)

    after = await ask(claude, then(before, "And now?"), copilot_max_turns=turns)

    assert after.text == "Still two."
    last, following = (body["messages"] for body in server.bodies[1:])
    assert json.dumps(following[: len(last)]) == json.dumps(last)
    assert [block["type"] for block in following[len(last)]["content"]] == ["thinking", "text"]
    for name in ("tools", "system"):
        assert json.dumps(server.bodies[1][name]) == json.dumps(server.bodies[2][name])


async def test_the_answer_to_a_question_is_the_result_of_its_call(ask: Ask, server: MessagesServer, claude: Claude):
    server.answers(
        answer(
            thinking("Where?"),
            tool_use("t1", "ask_user", json.dumps(QUESTION[1])),
            tool_use("t2", "list_segments", "{}"),
            stop_reason="tool_use",
        ),
        answer(text("Spain it is.")),
    )
    before = await ask(claude)

    await ask(claude, then(before, "ES"))

    results = server.bodies[1]["messages"][-1]["content"]
    assert [block.get("tool_use_id") for block in results] == ["t1", "t2", None]
    assert json.loads(results[0]["content"])["result"] == {"answer": "ES"}
    assert "workspace_data" in results[2]["text"]


# Runs that were broken off


async def test_a_run_that_was_broken_off_goes_on_without_calling_again(ask: Ask):
    gone = Unavailable("down", code="upstream_auth")
    broken = await ask(Script(calls(LIST, text="I look."), [models.TextDelta("There a"), gone]))
    sent = [{"role": "user", "content": "How are sales?"}, {"role": "assistant", "content": "I look.There a"}]

    for messages in (sent[:1], sent):
        model = Script(says("Two segments."))
        request = asking(messages=messages, checkpoint=token(broken), context={"as_of": None})
        whole = await ask(model, request)

        assert broken.frames[-1]["type"] == "run.error"
        assert [type(message) for message in model.requests[0].messages] == [UserMessage, AssistantMessage, ToolResults]
        assert whole.frames[0]["as_of"] == "2026-06-15T12:00:00Z"
        assert warnings(whole) == []

        again = await ask(
            Script(says("Yes.")),
            asking(
                messages=[
                    *messages,
                    {"role": "assistant", "content": "Two segments."},
                    {"role": "user", "content": "?"},
                ],
                checkpoint=token(whole),
            ),
        )
        assert warnings(again) == []


async def test_a_broken_off_run_takes_new_words_too(ask: Ask):
    broken = await ask(Script(calls(LIST), [Unavailable("down", code="upstream_auth")]))
    model = Script(says("Fine."))

    await ask(model, asking(messages=[*user("How are sales?", "Only the big ones")], checkpoint=token(broken)))

    assert heard(model.requests[0])[-1] == UserMessage("Only the big ones")
    assert isinstance(model.requests[0].messages[-2], ToolResults)


def user(*words: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": one} for one in words]


async def test_calls_that_never_ran_are_not_part_of_the_thread(ask: Ask):
    before = await ask(Script(calls(LIST)), copilot_max_turns=1)
    model = Script(says("Fine."))

    await ask(model, then(before, "Go on"))

    _, *after = heard(model.requests[0])
    assert after == [AssistantMessage(before.text), UserMessage("Go on")]


async def test_an_answer_that_was_cut_is_kept_as_text(ask: Ask):
    call = ToolCall("c", "list_segments", {})
    ended = TurnEnded("max_tokens", AssistantMessage("Long", (call,), raw=[{"type": "thinking"}]), TOKENS)
    before = await ask(Script([models.TextDelta("Long"), ended], [models.TextDelta("Long"), ended]))
    model = Script(says("Fine."))

    await ask(model, then(before, "Go on", first="How are sales?"))

    assert heard(model.requests[0])[1] == AssistantMessage("Long")


# Questions


@pytest.mark.parametrize("by_resume", [True, False])
async def test_an_answer_reaches_the_model_as_the_result_of_its_question(ask: Ask, *, by_resume: bool):
    before = await ask(Script(calls(QUESTION, LIST)))
    question = before.one("clarification")
    model = Script(says("Spain it is."))
    entry = {"id": question["id"], "status": "resolved", "payload": {"answer": "ES"}}
    request = then(before, resume=[entry]) if by_resume else then(before, "ES")

    after = await ask(model, request)

    _, _, results = heard(model.requests[0])
    assert isinstance(results, ToolResults)
    assert [result.name for result in results.results] == ["ask_user", "list_segments"]
    assert json.loads(results.results[0].content) == {"answer": "ES"}
    assert warnings(after) == []

    for history in (["ES"], []) if by_resume else (["ES"],):
        messages = [
            {"role": "user", "content": "How are sales?"},
            {"role": "assistant", "content": before.text},
            *user(*history),
            {"role": "assistant", "content": after.text},
            *user("Thanks"),
        ]
        thanked = await ask(Script(says("Welcome.")), asking(messages=messages, checkpoint=token(after)))
        assert warnings(thanked) == []


async def test_a_question_may_be_dismissed(ask: Ask):
    before = await ask(Script(calls(QUESTION)))
    model = Script(says("All countries, then."))

    await ask(model, then(before, resume=[{"id": before.one("clarification")["id"], "status": "cancelled"}]))

    *_, results = heard(model.requests[0])
    assert isinstance(results, ToolResults)
    assert json.loads(results.results[0].content)["cancelled"] is True


async def test_an_answer_to_a_question_that_is_not_open_is_a_conflict(ask: Ask):
    open_question = await ask(Script(calls(QUESTION)))
    closed = await ask(Script(says("Fine.")))

    for told in (open_question, closed):
        with pytest.raises(Conflict) as caught:
            await ask(Script(), then(told, resume=[{"id": "other", "status": "resolved", "payload": "ES"}]))
        assert (caught.value.code, caught.value.findings[0].pointer) == ("resume_conflict", "/resume/0")


async def test_an_answer_must_be_one_that_the_question_takes(ask: Ask):
    before = await ask(Script(calls(("ask_user", {**QUESTION[1], "allow_free_text": False}))))
    entry = {"id": before.one("clarification")["id"], "status": "resolved", "payload": "IT"}

    with pytest.raises(InvalidInput) as caught:
        await ask(Script(), then(before, resume=[entry]))

    assert caught.value.findings[0].suggestions == ("ES",)


# What is remembered


async def test_the_latest_draft_is_what_the_person_looks_at_next(ask: Ask):
    before = await ask(Script(calls(PROPOSAL), says("Here it is.")))
    draft = before.one("segment.draft")
    model, looking = Script(says("Fine.")), Script(says("Fine."))

    await ask(model, then(before, "Only Spain"))
    await ask(looking, then(before, "Only Spain", context={"draft": {"name": "Mine"}}))

    assert model.requests[0].view["draft"]["draft_id"] == draft["draft_id"]
    assert model.requests[0].view["draft"]["definition"] == draft["definition"]
    assert looking.requests[0].view["draft"] == {"name": "Mine"}


async def test_a_draft_of_an_earlier_run_gets_no_second_button(ask: Ask):
    before = await ask(Script(calls(PROPOSAL), says("Here it is.")))

    after = await ask(Script(says("Fine.")), then(before, "Thanks"))

    assert after.of("component") == []


# What is not taken


async def refused(ask: Ask, request: Any, code: str, **more: Any) -> None:
    model = Script(says("Fine."))
    told = await ask(model, request, **more)
    assert warnings(told) == [code]
    assert not any(isinstance(message, ToolResults) for message in model.requests[0].messages)


@pytest.fixture
async def before(ask: Ask) -> Told:
    return await ask(Script(calls(LIST), says("Two segments.")))


async def test_another_tenants_checkpoint_says_nothing(ask: Ask, shop: Shop, before: Told):
    await refused(ask, then(before, "And now?"), "checkpoint_invalid", tenant=shop.other)


async def test_a_checkpoint_of_another_secret_says_nothing(ask: Ask, before: Told):
    await refused(ask, then(before, "And now?"), "checkpoint_invalid", copilot_checkpoint_secret="another")


async def test_a_checkpoint_lasts_a_day(ask: Ask, shop: Shop, before: Told):
    signer = await Secret(shop.resources.secrets).signer()
    model = Script(says("x"))
    run = await prepare_run(wired(shop.resources, model), shop.tenant, then(before, "?"))
    setting = run._beginning.setting
    opened = signer.open(token(before), tenant_id=shop.tenant.id, setting=setting, now=datetime.now(UTC))
    assert timedelta(hours=23) < opened.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    old = signer.seal(structs.replace(opened, expires_at=datetime.now(UTC)))

    await refused(ask, then(before, "And now?", checkpoint=old), "checkpoint_expired")


@pytest.mark.parametrize(
    "change",
    [{"options": {"components": []}}, {"checkpoint": "c2.AAAA"}],
    ids=["other tools", "another format"],
)
async def test_a_checkpoint_of_another_version_says_nothing(ask: Ask, before: Told, change: Any):
    await refused(ask, then(before, "And now?", **change), "checkpoint_outdated")


@pytest.mark.parametrize(
    "messages",
    [
        [("user", "How are sales now?"), ("assistant", "Two segments."), ("user", "And?")],
        [("user", "How are sales?"), ("assistant", "Three segments."), ("user", "And?")],
        [("user", "How are sales?"), ("user", "And?")],
        [("user", "How are sales?")],
        [("user", "And?")],
        [("user", "How are sales?"), ("assistant", "Two segments. And one."), ("user", "And?")],
    ],
)
async def test_a_checkpoint_of_another_history_says_nothing(ask: Ask, before: Told, messages: list[tuple[str, str]]):
    request = asking(
        messages=[{"role": role, "content": content} for role, content in messages], checkpoint=token(before)
    )
    await refused(ask, request, "history_changed")


async def test_a_checkpoint_belongs_to_its_thread(ask: Ask):
    before = await ask(Script(calls(LIST), says("Two.")), asking(thread_id="mine"))

    await refused(ask, then(before, "And?", thread_id="yours"), "history_changed")


@pytest.mark.parametrize(
    "pieces", [["I look.", "Two segments."], ["I look.\n\nTwo segments."], [" I look. Two segments.\n"]]
)
async def test_how_a_client_joins_the_texts_of_an_answer_does_not_matter(ask: Ask, pieces: list[str]):
    before = await ask(Script(calls(LIST, text="I look."), says("Two segments.")))
    model = Script(says("Fine."))
    messages = [*user("How are sales?"), *({"role": "assistant", "content": one} for one in pieces), *user("And?")]

    told = await ask(model, asking(messages=messages, checkpoint=token(before)))

    assert warnings(told) == []


async def test_a_client_may_keep_or_drop_what_was_taken_back(ask: Ask):
    fault = Unavailable("x", code="upstream_overloaded", context={"retry_after_ms": 0})
    before = await ask(Script([models.TextDelta("Half a "), fault], says("Whole.")))

    for content in ("Whole.", "Half a Whole."):
        messages = [*user("How are sales?"), {"role": "assistant", "content": content}, *user("And?")]
        told = await ask(Script(says("Fine.")), asking(messages=messages, checkpoint=token(before)))
        assert warnings(told) == []


async def test_without_a_last_word_of_the_person_a_refused_checkpoint_is_a_problem(ask: Ask):
    messages = [*user("How are sales?"), {"role": "assistant", "content": "Fine."}]

    with pytest.raises(InvalidInput) as caught:
        await ask(Script(), asking(messages=messages, checkpoint="x"))

    assert caught.value.findings[0].code == "invalid_history"


# The token


STATE = Checkpoint(
    tenant_id=1,
    thread_id="t",
    setting="s",
    expires_at=NOW + timedelta(days=1),
    as_of=NOW,
    timezone="UTC",
    messages=(
        UserMessage("Hi", workspace="…"),
        AssistantMessage("Yes", raw=[{"type": "text", "text": "Yes", "n": 2**70}]),
    ),
    utterances=(Utterance("user", ((2, "x"),)),),
    catalog="c",
)
SIGNER = Signer(b"s" * 32)
TOKEN = SIGNER.seal(STATE) or ""


def opened(token: str) -> Checkpoint:
    return SIGNER.open(token, tenant_id=1, setting="s", now=NOW)


def test_what_is_opened_is_what_was_sealed():
    assert opened(TOKEN) == STATE


@given(position=st.integers(0, len(TOKEN) - 1), character=st.characters(max_codepoint=0x2FF))
def test_a_token_with_any_character_changed_is_not_taken(position: int, character: str):
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    if changed != TOKEN:
        with pytest.raises(CheckpointRefused):
            opened(changed)


@given(position=st.integers(0, len(TOKEN)), piece=st.text(max_size=3), cut=st.integers(0, 4))
def test_a_token_that_is_longer_or_shorter_is_not_taken(position: int, piece: str, cut: int):
    changed = TOKEN[:position] + piece + TOKEN[position + cut :]
    if changed != TOKEN:
        with pytest.raises(CheckpointRefused):
            opened(changed)


def test_a_session_takes_only_its_own_users_token():
    named = SIGNER.seal(structs.replace(STATE, user="ana")) or ""
    whoever = {"tenant_id": 1, "setting": "s", "now": NOW}

    assert SIGNER.open(named, **whoever, user="ana").user == "ana"
    assert SIGNER.open(named, **whoever).user == "ana"
    for token in (named, TOKEN):
        with pytest.raises(CheckpointRefused):
            SIGNER.open(token, **whoever, user="ben")


def test_what_another_secret_signed_is_not_taken():
    with pytest.raises(CheckpointRefused):
        Signer(b"t" * 32).open(TOKEN, tenant_id=1, setting="s", now=NOW)


def noise(size: int, seed: int) -> str:
    """Text that does not compress."""
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size))  # noqa: S311


def test_a_token_that_grows_too_large_loses_the_results_of_older_calls_and_what_was_thought():
    messages: list[Any] = [UserMessage("Hi")]
    for number in range(60):
        call = ToolCall(f"c{number}", "list_segments", {})
        raw = [{"type": "thinking", "thinking": "Hm", "signature": "s"}, {"type": "tool_use", "id": call.id}]
        messages.append(AssistantMessage("", (call,), raw=raw))
        messages.append(ToolResults((ToolResult(call.id, "list_segments", noise(8_000, number)),)))

    small = SIGNER.seal(structs.replace(STATE, messages=tuple(messages)))

    assert small is not None
    assert len(small) <= MAX_BYTES
    kept = opened(small).messages
    assert len(kept) == len(messages)
    assert kept[-1] == messages[-1]
    assert all("Left out" in one.results[0].content for one in kept[2:-1:2] if isinstance(one, ToolResults))
    assert all(
        one.raw == [{"type": "tool_use", "id": one.tool_calls[0].id}]
        for one in kept
        if isinstance(one, AssistantMessage)
    )


def test_a_thread_that_cannot_be_made_small_enough_has_no_token():
    assert SIGNER.seal(structs.replace(STATE, messages=(UserMessage(noise(400_000, 0)),))) is None


async def test_all_processes_of_a_deployment_share_the_secret(shop: Shop):
    first, second = await Secret(shop.resources.secrets).signer(), await Secret(shop.resources.secrets).signer()
    sealed = first.seal(STATE) or ""

    assert second.open(sealed, tenant_id=1, setting="s", now=NOW) == STATE
    assert len(await shop.resources.secrets.get_or_create("checkpoints")) == 32
