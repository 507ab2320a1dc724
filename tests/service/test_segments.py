"""`segments …` from the first to the last, and what other commands print for programs."""

from __future__ import annotations

import asyncio
import csv
import functools
import io
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from arro3.io import read_parquet
from msgspec import Struct

from segment_copilot.__main__ import main
from segment_copilot.commands import segments

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
USERS = [f"user {number:03}" for number in range(7)] + ['=1,"2"']

LOGGED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[.*\n", re.MULTILINE)
"""Lines of the service, which runs in this process too."""


class Ran(Struct, frozen=True):
    """What a command printed; it ended well."""

    out: str
    told: str


@pytest.fixture(scope="module")
async def buyers(client: httpx2.AsyncClient) -> None:
    """Eight buyers, one with an id that CSV has to quote."""
    events: list[dict[str, Any]] = [{"user_id": user, "event_type": "order_placed"} for user in USERS]
    events.append({"user_id": USERS[6], "event_type": "context_identified", "payload": {"plan": "pro"}})
    assert (await client.post("/api/ingestion/track/batch/", json={"events": events})).json()["queued"] == len(events)
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass


@pytest.fixture
def run(url: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A command in this process, in a folder of its own, beside the service that its environment names."""
    monkeypatch.setenv("SEGMENT_COPILOT_URL", url)
    monkeypatch.setenv("SEGMENT_COPILOT_KEY", key)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "buyers.json").write_text(json.dumps(BUYERS))

    def run(*arguments: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        assert ended.value.code == 0, captured.err
        return Ran(LOGGED.sub("", captured.out), captured.err)

    return functools.partial(asyncio.to_thread, run)


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_segment_from_its_definition_to_a_file_of_its_members_and_away(run, buyers: None, tmp_path: Path):
    made = await run("segments", "create", "buyers.json", "--name", "Buyers", "--description", "They buy.")
    number = made.out.strip()
    computed = json.loads((await run("compute", number, "--json")).out)
    shown = json.loads((await run("segments", "show", number, "--json")).out)
    (tmp_path / "shown.json").write_text(json.dumps(shown))
    copy = json.loads((await run("segments", "create", "shown.json", "--name", "Copy", "--json")).out)
    people = (await run("segments", "show", number)).out
    listed = (await run("segments", "list")).out.splitlines()
    found = json.loads((await run("segments", "list", "--search", "opy", "--json")).out)
    members = await run("segments", "members", number, "--limit", "3")
    as_json = json.loads((await run("segments", "members", number, "--json")).out)
    lines = (await run("segments", "export", number, "--format", "ndjson")).out.splitlines()
    written = await run("segments", "export", number, "--out", "members.csv")
    parquet = await run("segments", "export", number, "--format", "parquet", "--out", "members.parquet")
    printed = await run("segments", "export", number, "--include", "traits.plan")
    gone = await run("segments", "delete", number, "--yes")

    assert made.told.startswith(f"Saved segment {number}: Buyers\n")
    assert (computed["member_count"], computed["status"]) == (8, "computed")
    assert shown["definition"]["conditions"] == BUYERS["conditions"]
    assert (copy["name"], copy["description"], copy["definition"]) == ("Copy", "They buy.", shown["definition"])
    assert people.startswith(
        f"{number} Buyers\nThey buy.\nUsers who placed an order.\ndynamic_plus, computed: 8 members as of"
    )
    assert listed[0].split("\t")[:5] == [number, "Buyers", "dynamic_plus", "computed", "8"]
    assert listed[1].split("\t")[1:] == ["Copy", "dynamic_plus", "draft", "", ""]
    assert [each["name"] for each in found] == ["Copy"]
    assert [line.split("\t")[0] for line in members.out.splitlines()] == sorted(USERS)[:3]
    assert "3 of 8" in members.told
    assert [each["user_id"] for each in as_json] == [json.loads(line)["user_id"] for line in lines] == sorted(USERS)
    rows = list(csv.reader(io.StringIO((tmp_path / "members.csv").read_bytes().decode())))
    assert rows[0] == ["user_id", "computed_at"]
    assert [row[0] for row in rows[1:]] == sorted(USERS)
    assert read_parquet(tmp_path / "members.parquet").read_all().column("user_id").to_pylist() == sorted(USERS)
    assert "8 members in members.parquet" in parquet.told
    assert printed.out.splitlines()[0] == "user_id,computed_at,traits.plan"
    assert printed.out.splitlines()[-1].endswith(",pro")
    assert file_names(tmp_path) == ["buyers.json", "members.csv", "members.parquet", "shown.json"]
    assert "8 members in members.csv" in written.told
    assert gone.out == f"Deleted segment {number} (Buyers)\n"


async def test_who_lists_nobody_is_told_why(run, url: str, key: str, client: httpx2.AsyncClient, buyers: None):
    async def made(**body: Any) -> str:
        answer = await client.post("/api/segments/", json={"name": "Nobody", "refresh": {"mode": "manual"}, **body})
        return str(answer.json()["id"])

    async def lists(segment: str) -> str:
        listed = await run("segments", "members", segment)
        assert json.loads((await run("segments", "members", segment, "--json")).out) == []
        return listed.told

    nobody = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "value": 99}]}
    rule, static, draft = await made(definition=nobody), await made(segment_type="static"), await made()

    told = await lists(rule)
    assert told.startswith(f"Segment {rule} was not computed yet: ")
    assert told.endswith(f"segment-copilot compute {rule}\n")
    assert "upload them" in await lists(static)
    assert "is a draft without a definition" in await lists(draft)
    await run("compute", rule)
    assert f"Nobody was in segment {rule} at 2" in await lists(rule)


async def test_all_pages_of_segments_are_read(
    monkeypatch: pytest.MonkeyPatch, url: str, key: str, client: httpx2.AsyncClient, buyers: None
):
    monkeypatch.setattr(segments, "PAGE", 3)
    ids = [
        (await client.post("/api/segments/", json={"name": f"Paged {number}", "definition": BUYERS})).json()["id"]
        for number in range(4)
    ]

    found = await segments._fetch_all(segments.Service(url, key), "Paged")

    assert [each["id"] for each in found] == ids


async def test_what_is_printed_for_people_is_printed_for_programs_too(run, url: str, key: str, buyers: None):
    compiled = json.loads((await run("compile", "buyers.json", "--json")).out)
    explained = json.loads((await run("explain", "buyers.json", "--json")).out)
    asked = [json.loads(line) for line in (await run("ask", "How many users are there?", "--json")).out.splitlines()]
    service = json.loads((await run("env", "--json")).out)
    shell = (await run("env")).out

    assert {"words", "tier", "tier_reason", "sql", "params"} == compiled.keys()
    assert explained["matched_users"] == len(USERS)
    assert (asked[0]["type"], asked[-1]["type"]) == ("run.started", "run.finished")
    assert service == {"url": url, "api_key": key}
    assert shell == f"export URL={url}\nexport API_KEY={key}\n"
