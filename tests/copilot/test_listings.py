"""What is listed and drawn: events as rows, registered schemas apart from seen ones, members, parts of days."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from segment_copilot.commands.screen import bar_chart
from segment_copilot.copilot.models.offline import OfflineModel
from tests.support.copilot_runs import Ask, Script, Shop, asking, calls, says
from tests.support.resources import NOW


@pytest.fixture(scope="module")
async def arrived(shop: Shop) -> Shop:
    """The shop, to which six events came lately."""
    events = [
        {
            "user_id": f"user {number}",
            "event_type": "order_placed" if number % 2 else "page_viewed",
            "occurred_at": (NOW - timedelta(minutes=number)).isoformat(),
            "payload": {},
        }
        for number in range(6, 0, -1)
    ]
    for event in events:  # one after the other: the newest came last
        await shop.resources.ingestion.accept(shop.tenant, [event], received_at=NOW)
    return shop


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("- ")]


@pytest.mark.parametrize(
    ("asked", "count"),
    [("the last 4 events", 4), ("Show me the last 2 events", 2), ("What are the 3 most recent events?", 3), ("latest events", 6)],
)  # fmt: skip
async def test_the_last_events_are_shown(arrived: Shop, ask: Ask, asked: str, count: int):
    told = await ask(OfflineModel(), asking(asked))

    assert len(rows(told.text)) == count
    assert rows(told.text)[0].startswith("- order_placed of user user 1 on ")
    assert told.of("warning") == []


async def test_the_last_events_of_a_type_are_shown(arrived: Shop, ask: Ask):
    told = await ask(OfflineModel(), asking("last 2 orders"))

    assert [row.split(" on ")[0] for row in rows(told.text)] == [
        "- order_placed of user user 1", "- order_placed of user user 3",
    ]  # fmt: skip


async def test_registered_schemas_stand_apart_from_what_was_only_seen(shop: Shop, ask: Ask):
    before = await ask(OfflineModel(), asking("List my event schemas"))
    await shop.resources.schemas.save(shop.tenant, event_type="order_placed", description="A purchase", properties=[])
    after = await ask(OfflineModel(), asking("List my event schemas"))

    assert "No event schema is registered." in before.text
    registered, seen = after.text.split("only seen, without a schema:")
    assert "1 event type with a registered schema:\n- order_placed" in registered
    assert "- page_viewed" in seen
    assert "order_placed" not in seen


@pytest.mark.parametrize(
    "asked",
    [
        "Who is in Buyers?", "who are the members of Buyers", "List the members of Buyers", "show me the users in Buyers",
        "Which users belong to Buyers?", "give me 20 people of Buyers", "Who belongs to the Buyers segment?",
    ],
)  # fmt: skip
async def test_who_is_in_a_segment_lists_its_members_and_drafts_nothing(ask: Ask, asked: str):
    told = await ask(OfflineModel(), asking(asked))

    assert told.of("segment.draft") == []
    assert rows(told.text) == ["- ana", "- ben"]
    assert told.of("warning") == []


async def test_a_segment_that_was_never_computed_has_no_members_to_list(ask: Ask):
    told = await ask(OfflineModel(), asking("Who is in Lapsed?"))

    assert "has not been computed yet" in told.text
    assert told.of("segment.draft") == []


@pytest.mark.parametrize("asked", ["users in Buyers", "Who is in Buyers and lives in ES?", "users who are in Buyers"])
async def test_an_audience_is_still_an_audience(ask: Ask, asked: str):
    told = await ask(OfflineModel(), asking(asked))

    assert rows(told.text) == []


@pytest.mark.parametrize(
    ("from_", "to", "partial"),
    [
        ("2026-06-12", "2026-06-14", []),
        ("2026-06-12T12:00:00Z", "2026-06-14", ["2026-06-12"]),
        ("2026-06-12", "2026-06-13T12:00:00Z", ["2026-06-13"]),
        ("2026-06-13", "2026-06-20", ["2026-06-15"]),  # it is noon of the 15th
        ("2026-06-13T20:00:00Z", "2026-06-13T21:00:00Z", ["2026-06-13"]),
    ],
)
async def test_a_day_of_which_only_a_part_is_counted_is_marked(ask: Ask, from_: str, to: str, partial: list[str]):
    period = {"from": from_, "to": to}
    chart = ("display_event_chart", {"title": "Volume", "measure": "events"})

    told = await ask(Script(calls(("query_event_volume", period)), calls(chart), says("Here.")))

    points: list[dict[str, Any]] = told.one("component")["props"]["points"]
    assert [point["x"] for point in points if point.get("partial")] == partial
    assert not any(point.get("partial") is False for point in points)
    drawn = [line.plain for line in bar_chart(told.one("component")["props"]).renderables]  # type: ignore[union-attr]
    assert [line.split()[0] for line in drawn if "part of the day" in line] == partial


async def test_a_day_that_has_only_begun_is_not_the_quietest(ask: Ask):
    told = await ask(OfflineModel(), asking("What was the quietest day this week?"))

    assert "15 June" not in told.text.split("\n")[0] or "only a part" in told.text
