"""A file nobody here wrote, from import to answer: the same members as a plain reading of the file."""

from __future__ import annotations

import asyncio
import csv
import gzip
from pathlib import Path

import httpx2
import pytest
from rich.console import Console

from segment_copilot.importing import Layout, import_file

pytestmark = pytest.mark.engines

FILE = Path(__file__).parents[1] / "data" / "ecom.csv.gz"
TRAITS = ("acquisition_channel", "user_cohort", "user_lifecycle", "platform")
SENTENCE = "users who purchased but never added to a wishlist"
AFTER = "2025-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with gzip.open(FILE, "rt", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", autouse=True)
async def imported(url: str, key: str) -> None:
    columns = Layout(user="user_id", event="event", time="timestamp", trait=TRAITS)
    report = await import_file(FILE, layout=columns, url=url, key=key, console=Console(quiet=True))
    assert (report.read, report.skipped) == (31106, 0)


async def members(client: httpx2.AsyncClient, definition: object) -> set[str]:
    answer = await client.post("/api/segments/preview/", json={"definition": definition, "as_of": AFTER, "limit": 1000})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["sample_user_ids"]) == answer.json()["matched_users"]
    return set(answer.json()["sample_user_ids"])


async def test_purchased_but_never_wished_is_what_a_plain_reading_of_the_file_says(client, rows):
    purchased = {row["user_id"] for row in rows if row["event"] == "purchase"}
    wished = {row["user_id"] for row in rows if row["event"] == "wishlist_add"}
    definition = {
        "logic": "AND",
        "conditions": [
            {"type": "event_count", "event_type": "purchase"},
            {"type": "event_count", "event_type": "wishlist_add", "operator": "eq", "value": 0},
        ],
    }

    found = await members(client, definition)

    assert found == purchased - wished
    assert 0 < len(found) < len(purchased)


async def test_the_copilot_reaches_the_same_definition_from_the_sentence(client, rows):
    purchased = {row["user_id"] for row in rows if row["event"] == "purchase"}
    wished = {row["user_id"] for row in rows if row["event"] == "wishlist_add"}

    answer = await client.post("/api/copilot/generate/", json={"description": SENTENCE, "as_of": AFTER})

    assert answer.status_code == 200, answer.text
    draft = answer.json()["draft"]
    assert await members(client, draft["definition"]) == purchased - wished
    assert draft["preview"]["count"] == len(purchased - wished)


@pytest.mark.parametrize("trait", TRAITS)
async def test_the_newest_value_of_a_trait_is_the_users(client, rows, trait):
    newest: dict[str, tuple[str, str]] = {}
    for row in rows:
        previous = newest.get(row["user_id"])
        if previous is None or row["timestamp"] >= previous[0]:
            newest[row["user_id"]] = (row["timestamp"], row[trait])
    values = {value for _, value in newest.values()}

    for value in values:
        definition = {
            "logic": "AND",
            "conditions": [{"type": "user_property", "property": trait, "operator": "eq", "value": value}],
        }
        assert await members(client, definition) == {user for user, (_, last) in newest.items() if last == value}


async def test_importing_a_file_twice_adds_nothing(client, url, key):
    counted = {
        "logic": "AND",
        "conditions": [{"type": "event_count", "event_type": "*", "operator": "gte", "value": 60}],
    }
    before = await members(client, counted)
    columns = Layout(user="user_id", event="event", time="timestamp", trait=TRAITS)

    await import_file(FILE, layout=columns, url=url, key=key, console=Console(quiet=True))

    assert await members(client, counted) == before


async def test_a_draft_saved_and_computed_at_its_own_instant_has_as_many_members(client):
    answer = (await client.post("/api/copilot/generate/", json={"description": SENTENCE, "as_of": AFTER})).json()
    draft = answer["draft"]
    body = {key: draft[key] for key in ("name", "description", "definition")} | {"segment_type": "ai"}

    saved = (await client.post("/api/segments/", json=body)).json()
    queued = await client.post(f"/api/segments/{saved['id']}/compute/", json={"as_of": draft["preview"]["as_of"]})
    assert queued.status_code == 202
    segment = await computed(client, saved["id"])
    listed = (await client.get(f"/api/segments/{saved['id']}/members/", params={"limit": 1000})).json()

    assert segment["member_count"] == draft["preview"]["count"] == listed["count"] == len(listed["results"])


async def computed(client: httpx2.AsyncClient, segment_id: int) -> dict[str, object]:
    """The segment once the worker is done with it; each look is a request of its own."""
    async with asyncio.timeout(60):
        while True:
            segment = (await client.get(f"/api/segments/{segment_id}/")).json()
            if segment["status"] not in {"queued", "computing"}:
                return segment
