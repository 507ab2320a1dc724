"""Commands in a real terminal: a chat with line editing and history, questions before something is lost, last lines."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import httpx2

from segment_copilot.settings import Settings
from tests.support.terminals import run_in_terminal

UP, LEFT, CONTROL_C, CONTROL_D = "\x1b[A", "\x1b[D", "\x03", "\x04"
PROMPT = "›"  # nothing may be typed before: the line is not being edited yet


async def test_a_chat_edits_lines_and_remembers_them(url: str, key: str, tmp_path: Path):
    environment = {"XDG_STATE_HOME": str(tmp_path), "SEGMENT_COPILOT_URL": url, "SEGMENT_COPILOT_KEY": key}

    def talk() -> None:
        with run_in_terminal("ask", "--chat", columns=50, environment=environment) as terminal:
            terminal.wait_for(PROMPT)
            terminal.type(f"How many users are ther?{LEFT}e\r")  # a letter that was left out
            told = terminal.wait_for("There are") + terminal.wait_for(PROMPT)
            terminal.interrupt("leaves.")
            terminal.wait_for(PROMPT)
            terminal.type("/he\t\r")
            terminal.wait_for("this list")
            terminal.wait_for(PROMPT)
            terminal.type(CONTROL_D)
            assert terminal.wait() == 0
            assert max(map(len, told[told.index("model") :].splitlines())) <= 50
        with run_in_terminal("ask", "--chat", environment=environment) as terminal:
            terminal.wait_for(PROMPT)
            terminal.type(f"{UP}{UP}")
            terminal.wait_for("How many users are there?")
            terminal.type("\r")
            terminal.wait_for("There are")
            terminal.wait_for(PROMPT)
            terminal.type("/quit\r")
            assert terminal.wait() == 0

    await asyncio.to_thread(talk)
    (history,) = tmp_path.glob("*/ask_history")  # noqa: ASYNC240  # a small folder
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert history.read_text().splitlines()[0] == "How many users are there?"


async def test_a_segment_is_deleted_after_a_yes_only(url: str, key: str, client: httpx2.AsyncClient):
    definition = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
    made = (await client.post("/api/segments/", json={"name": "\x1b[31mBuyers", "definition": definition})).json()
    path = f"/api/segments/{made['id']}/"

    def delete(answer: str) -> tuple[int, str]:
        arguments = ("segments", "delete", str(made["id"]), "--url", url, "--key", key)
        with run_in_terminal(*arguments) as terminal:
            terminal.wait_for("[y/N]")
            terminal.type(answer)
            return terminal.wait(), terminal.shown

    kept, asked = await asyncio.to_thread(delete, "n\r")
    status = (await client.get(path)).status_code
    gone, told = await asyncio.to_thread(delete, "y\r")

    assert (kept, status, gone) == (1, 200, 0)
    assert f"Delete segment {made['id']} (" in asked
    assert "Traceback" not in asked
    assert f"Deleted segment {made['id']}" in told
    assert (await client.get(path)).status_code == 404


async def test_dev_says_at_its_end_where_the_data_is_and_how_to_go_on(service_settings: Settings, tmp_path: Path):
    stores = {
        "DATABASE_URL": service_settings.database_url,
        "CLICKHOUSE_URL": service_settings.clickhouse_url,
    }

    def run() -> tuple[int, str]:
        with run_in_terminal(
            "dev", "--port", "0", "--data-dir", str(tmp_path), columns=200, environment=stores
        ) as terminal:
            terminal.wait_for("Ctrl-C stops it.")
            terminal.type(CONTROL_C)
            return terminal.wait(), terminal.shown

    code, shown = await asyncio.to_thread(run)

    last = shown.splitlines()
    assert code == 0
    assert last[-3] == "Stopped. The data stays in PostgreSQL and ClickHouse, as given."
    assert last[-2].endswith(f"segment-copilot dev --data-dir {tmp_path}")
    assert last[-1].endswith(f"segment-copilot ask --chat --data-dir {tmp_path}")
