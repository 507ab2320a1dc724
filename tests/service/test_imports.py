"""Files as people have them, from the command to the answer: what is stored, what is rejected, and once only."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import Struct
from rich.console import Console

from segment_copilot.errors import Conflict
from segment_copilot.importing import ImportReport, Layout, import_file, make_layout
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings

pytestmark = pytest.mark.engines

FILES = Path(__file__).parents[1] / "data" / "imports"
ANA, BEN = "ana.0001@example.com", "ben.0001@example.com"


class Shop:
    """A tenant of its own, and what a person sees who imports into it."""

    def __init__(self, client: httpx2.AsyncClient, url: str, key: str) -> None:
        self.client = client
        self.url = url
        self.key = key

    async def add(self, path: Path, layout: Layout, **options: Any) -> tuple[ImportReport, str]:
        screen = io.StringIO()
        console = Console(file=screen, width=300)
        report = await import_file(path, layout=layout, url=self.url, key=self.key, console=console, **options)
        return report, screen.getvalue()

    async def stored(self) -> int:
        return (await self.client.get("/api/ingestion/status/")).json()["forwarded"]

    async def members(self, *conditions: dict[str, Any]) -> list[str]:
        body = {"definition": {"logic": "AND", "conditions": conditions}, "as_of": "2027-01-01T00:00:00Z"}
        answer = await self.client.post("/api/segments/preview/", json=body)
        assert answer.status_code == 200, answer.text
        return sorted(answer.json()["sample_user_ids"])


@pytest.fixture
async def shops(service_settings: Settings, url: str, request: pytest.FixtureRequest) -> AsyncGenerator[list[Shop]]:
    """As many as there are exports."""
    made: list[Shop] = []
    async with open_resources(service_settings) as resources:
        for _ in range(request.param if hasattr(request, "param") else 1):
            name = f"shop-{secrets.token_hex(6)}"
            key = (await resources.keys.create(await resources.tenants.create(name)))[1]
            headers = {"Authorization": f"ApiKey {key}"}
            made.append(Shop(httpx2.AsyncClient(base_url=url, headers=headers, timeout=60), url, key))
    yield made
    await asyncio.gather(*(shop.client.aclose() for shop in made))


@pytest.fixture
def shop(shops: list[Shop]) -> Shop:
    return shops[0]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def bought(event: str, name: str, operator: str, value: object = None) -> dict[str, Any]:
    test = {"property": name, "operator": operator} | ({} if value is None else {"value": value})
    return {"type": "event_count", "event_type": event, "where": [test]}


def has(name: str, operator: str, value: object = None) -> dict[str, Any]:
    test = {"type": "user_property", "property": name, "operator": operator}
    return test | ({} if value is None else {"value": value})


class Export(Struct, frozen=True):
    """A file, the rows in it, how many events they become, how many rows are rejected, and who answers to what."""

    preset: str
    file: str
    rows: int
    events: int
    rejected: int
    asked: dict[str, Any]
    members: list[str]


EXPORTS = [
    Export("shopify", "shopify_orders.csv", 4, 2, 1, bought("order_placed", "Total", "gt", 50), [ANA]),
    Export("shopify-customers", "shopify_customers.csv", 3, 2, 1, has("Accepts Email Marketing", "is_true"), [ANA]),
    Export("segment", "segment.ndjson", 6, 4, 2, bought("Order Completed", "total", "gt", 80), ["ana-0001"]),
    Export("rudderstack", "rudderstack.ndjson", 6, 4, 2, has("plan", "eq", "pro"), ["ana-0001"]),
    Export("mixpanel", "mixpanel.ndjson", 3, 2, 1, bought("Purchase", "Amount", "eq", 5.5), ["ana-0001"]),
    Export("mixpanel-profiles", "mixpanel_profiles.ndjson", 3, 2, 1, has("seats", "gte", 3), ["ana-0001"]),
    Export("amplitude", "amplitude.ndjson", 4, 5, 1, has("plan", "eq", "pro"), ["ana-0001"]),
    Export("posthog", "posthog.ndjson", 3, 4, 1, bought("order placed", "gift", "is_false"), ["ana-0001"]),
    Export("posthog", "posthog.csv", 3, 4, 1, bought("order placed", "total", "gt", 80), ["ana-0001"]),
    Export("ga4", "ga4.ndjson", 3, 3, 1, bought("page_view", "ga_session_id", "eq", 1781956498), ["1000.0001"]),
    Export("klaviyo", "klaviyo_profiles.csv", 3, 2, 1, has("Zip Code", "eq", "04000"), [ANA]),
    Export("stripe", "stripe_payments.csv", 3, 2, 1, bought("Failed", "Captured", "is_false"), [BEN]),
    Export("stripe-customers", "stripe_customers.csv", 3, 2, 1, has("Delinquent", "is_true"), [BEN]),
]


@pytest.mark.parametrize("shops", [len(EXPORTS)], indirect=True, ids=["exports"])
async def test_an_export_is_stored_with_its_types_and_once(shops: list[Shop], tmp_path: Path):
    async def check(export: Export, shop: Shop) -> None:
        path = tmp_path / export.file
        path.write_bytes((FILES / export.file).read_bytes())
        layout = make_layout(preset=export.preset)

        first, _ = await shop.add(path, layout)
        stored = await shop.stored()
        second, _ = await shop.add(path, layout)

        for report in (first, second):
            assert (report.read, report.queued, report.skipped) == (export.rows, export.events, export.rejected)
            assert report.rejects == tmp_path / f"{export.file}.rejects.csv"
        assert stored == export.events
        assert await shop.stored() == stored
        assert await shop.members(export.asked) == export.members

    await asyncio.gather(*map(check, EXPORTS, shops))


PLAIN = Layout(user="user", event="event", time="time")


async def test_rejected_rows_are_mended_and_imported_alone(shop: Shop, tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_text("user;event;time;total\nana;buy;20.06.2026;8.5\nben;buy;soon;9\n;buy;21.06.2026;10\n")

    report, told = await shop.add(path, PLAIN)

    assert (report.read, report.queued, report.skipped) == (3, 1, 2)
    assert "line 3: time: 'soon' is no time" in told
    assert "file.csv: CSV separated by semicolons, UTF-8" in told
    rejects = report.rejects
    assert rejects is not None
    rejects.write_text(
        rejects.read_text("utf-8-sig").replace(";soon;", ";21.06.2026;").replace(";;", ";cai;"), "utf-8-sig"
    )
    mended, _ = await shop.add(rejects, PLAIN)

    assert (mended.read, mended.queued, mended.skipped, mended.rejects) == (2, 2, 0, None)
    assert await shop.members(bought("buy", "total", "gte", 9)) == ["ben", "cai"]
    assert await shop.members(bought("buy", "import_line", "is_set")) == []
    assert await shop.stored() == 3


async def test_a_file_counts_again_only_when_that_is_meant(shop: Shop, tmp_path: Path):
    path, journal = tmp_path / "file.csv", tmp_path / "data" / "imports.jsonl"
    path.write_text("user,event,time\nana,buy,2026-06-20\nben,buy,2026-06-21\n")
    stored: list[int] = []

    for again in (False, False, True, False, True):
        await shop.add(path, PLAIN, journal_file=journal, again=again)
        stored.append(await shop.stored())
    assert stored == [2, 2, 4, 4, 6]

    path.write_text(path.read_text() + "cai,buy,2026-06-22\n")
    with pytest.raises(Conflict, match="a file of this name was imported"):
        await shop.add(path, PLAIN, journal_file=journal)
    other = tmp_path / "export (1).csv"
    other.write_bytes(path.read_bytes())
    with pytest.raises(Conflict, match="with mostly the same rows"):
        await shop.add(other, PLAIN, journal_file=journal)
    assert await shop.stored() == 6
    for again in (True, False):
        await shop.add(other, PLAIN, journal_file=journal, again=again)
    assert await shop.stored() == 9


async def test_a_trial_shows_rows_types_and_what_is_rejected_and_sends_nothing(shop: Shop, tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_text(
        'user,event,time,total,optin,since,town\nana,buy,06/20/2026 1:14 PM,"1,089.95",yes,06/01/2026,Rome\n'
        "ben,buy,06/19/2026 9:00 AM,7,no,06/02/2026,\ncai,buy,soon,8,no,,\n"
    )

    report, told = await shop.add(
        path, make_layout(user="user", event="event", time="time", trait=("town",)), dry_run=True
    )

    assert (report.read, report.queued, report.skipped, report.rejects) == (3, 3, 1, None)
    assert await shop.stored() == 0
    assert told.splitlines()[0] == "file.csv: CSV separated by commas, UTF-8, times month-first, in UTC"
    for line in (
        'context_identified","payload":{"town":"Rome"}',
        '{"user_id":"ana","occurred_at":"2026-06-20T13:14:00+00:00","event_type":"buy","payload":{"total":"1,089.95","optin":"yes"',
        "  total  property  1 text, 1 number, as in 1,089.95",
        "  optin  property  2 text, as in yes · yes or no: --boolean 'optin'",
        "  town   trait     1 text, as in Rome",
        "read 3 rows, would queue 3 events, skipped 1",
        "  line 4: time: 'soon' is no time that --time-format month-first can read.",
        "Note: total: 1 of 2 values stay text, such as '1,089.95'",
        "Note: since: 2 of 2 values are dates that stay text, such as '06/01/2026'",
    ):
        assert line in told, told
    assert names(tmp_path) == ["file.csv"]


@pytest.mark.parametrize("count", [1, 700])
async def test_every_row_that_the_service_refuses_is_kept(shop: Shop, tmp_path: Path, monkeypatch, count: int):
    """The service tells the first reasons of a batch only; what this client lets through, it may still refuse."""
    monkeypatch.setattr("segment_copilot.importing.rows.validate", lambda *_, **__: None)
    path = tmp_path / "file.csv"
    path.write_text(
        "user,event,time\n" + "".join(f"{'u' * 300}{n},buy,2026-06-20\n" for n in range(count)) + "ana,buy,2026-06-20\n"
    )

    report, _ = await shop.add(path, PLAIN)

    assert (report.read, report.queued, report.skipped) == (count + 1, 1, count)
    assert report.rejects is not None
    assert len(report.rejects.read_text().splitlines()) == count + 1
