"""What becomes of files as people have them, and how long it takes: `python benchmarks/imports.py`.

It makes every file (formats of spreadsheets and programs, a hundredth of the rows spoiled; the exports of tests/data/imports,
repeated under other ids), imports each into a tenant of its own on embedded engines, and prints a row for it. Seconds are
those of the whole command: both readings, sending, and until every row can be queried; beside them the CPU of both readings
alone, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import io
import json
import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from compare import machine
from segment_copilot.commands.serving import migrate_stores, running
from segment_copilot.embedded import start_engines
from segment_copilot.importing import ImportReport, Layout, import_file, make_layout, read_rows
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.telemetry.logs import configure_logging

SAMPLES = Path(__file__).parents[1] / "tests" / "data" / "imports"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
EXCEL = datetime(1899, 12, 30, tzinfo=UTC)
SPOILED = 100  # one row of so many
Written = Callable[[datetime], Any]


class File(NamedTuple):
    """One file: what it is, its bytes, how it is read."""

    says: str
    name: str
    content: bytes
    layout: Layout


def rows(number: int, written: Written) -> Iterator[list[Any]]:
    """Rows of a shop: user, event, time, amount, town; every hundredth is spoiled, in turns in three ways."""
    draw = random.Random(7)
    for place in range(number):
        moment = FIRST + timedelta(days=90) * (place / number)
        town = draw.choice(["Köln", "São Paulo", "Rome", "Málaga"])
        user, when = f"user_{draw.randrange(number // 10 + 1)}", written(moment)
        cells = [user, draw.choice(["view", "buy", "buy"]), when, round(draw.uniform(1, 200), 2), town]
        if place % SPOILED == SPOILED - 1:
            way = place // SPOILED % 3
            cells = (
                ["", *cells[1:]] if way == 0 else [*cells[:2], "soon", *cells[3:]] if way == 1 else [*cells, "one more"]
            )
        yield cells


def table(found: Iterable[list[Any]], *, separator: str = ",", encoding: str = "utf-8", decimal: str = ".") -> bytes:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(["user", "event", "time", "amount", "town"])
    for cells in found:
        writer.writerow([str(cell).replace(".", decimal) if isinstance(cell, float) else cell for cell in cells])
    return text.getvalue().encode(encoding)


def objects(found: Iterable[list[Any]]) -> list[str]:
    """The rows as JSON, nested; instead of one with a cell too many stands a number."""
    texts: list[str] = []
    for user, event, moment, amount, town, *more in found:
        properties = {"distinct_id": user or None, "time": moment, "amount": amount, "town": town}
        text = json.dumps({"event": event, "properties": properties}, ensure_ascii=False)
        texts.append("5" if more else text)
    return texts


def files(number: int) -> Iterator[File]:
    """Every file, of about *number* rows."""
    plain = Layout(user="user", event="event", time="time")
    nested = make_layout(user="properties.distinct_id", event="event", time="properties.time")
    iso, german = rows(number, datetime.isoformat), rows(number, lambda moment: f"{moment:%d.%m.%Y %H:%M}")
    american = rows(number, lambda moment: f"{moment:%m/%d/%Y %I:%M %p}")
    days = rows(number, lambda moment: (moment - EXCEL) / timedelta(days=1))
    yield File("CSV, commas, ISO 8601", "plain.csv", table(iso), plain)
    content = table(german, separator=";", encoding="cp1252", decimal=",")
    yield File("Excel, German: semicolons, Windows-1252, 20.06.2026 13:14, 89,95", "german.csv", content, plain)
    content = table(american, separator="\t", encoding="utf-16")
    yield File("Excel, American: tabs, UTF-16, 06/20/2026 1:14 PM", "american.txt", content, plain)
    yield File(
        "Excel's day numbers, a constant event",
        "days.csv",
        table(days),
        make_layout(user="user", time="time", event_name="seen"),
    )
    yield File(
        "people: traits only, no time",
        "people.csv",
        table(rows(number, str)),
        make_layout(user="user", traits_only=True),
    )
    content = "\n".join(objects(rows(number, lambda moment: int(moment.timestamp())))).encode()
    yield File("NDJSON, nested, seconds, gzip", "lines.ndjson.gz", gzip.compress(content), nested)
    content = f"[{','.join(objects(rows(number, lambda moment: int(moment.timestamp() * 1000))))}]".encode()
    yield File("JSON array, nested, milliseconds", "array.json", content, nested)
    content = f'{{"page": 0, "results": [{",".join(objects(rows(number, datetime.isoformat)))}]}}'.encode()
    yield File("JSON object, the answer of an API, nested", "answer.json", content, nested)
    for preset, name in EXPORTS.items():
        yield File(f"--preset {preset}", name, repeated(SAMPLES / name, number), make_layout(preset=preset))


EXPORTS = {
    "shopify": "shopify_orders.csv",
    "shopify-customers": "shopify_customers.csv",
    "segment": "segment.ndjson",
    "rudderstack": "rudderstack.ndjson",
    "mixpanel": "mixpanel.ndjson",
    "mixpanel-profiles": "mixpanel_profiles.ndjson",
    "amplitude": "amplitude.ndjson",
    "posthog": "posthog.ndjson",
    "ga4": "ga4.ndjson",
    "klaviyo": "klaviyo_profiles.csv",
    "stripe": "stripe_payments.csv",
    "stripe-customers": "stripe_customers.csv",
}


def repeated(path: Path, number: int) -> bytes:
    """The sample *path* until it has about *number* rows; each time its ids, which hold 0001, are others."""
    text = path.read_text("utf-8")
    head, body = (
        ("", text) if path.suffix == ".ndjson" else (text[: text.index("\n") + 1], text[text.index("\n") + 1 :])
    )
    copies = max(1, number // body.count("\n"))
    return (head + "".join(body.replace("0001", f"{copy:04d}") for copy in range(1, copies + 1))).encode()


def reasons(report: ImportReport) -> str:
    """Why rows were rejected, each reason with its number, without the values."""
    if report.rejects is None:
        return ""
    separator = {"german.csv": ";", "american.txt": "\t"}.get(report.rejects.name.removesuffix(".rejects.csv"), ",")
    with report.rejects.open(encoding="utf-8-sig", newline="") as file:
        found = Counter(shortened(row["import_reason"]) for row in csv.DictReader(file, delimiter=separator))
    return ", ".join(f"{count:,} × {reason}" for reason, count in found.most_common())


def shortened(reason: str) -> str:
    """The reason's sentence without column, values and advice."""
    sentence = reason if reason.startswith("It ") else re.sub(r"^[\w$. ]+: ", "", reason)
    return re.sub(r" (?:by|that) .*|: .*|\.$", "", re.sub(r"'[^']*'", "…", sentence))


async def measure(number: int, only: str) -> None:
    """Import every file and print its row."""
    with tempfile.TemporaryDirectory(prefix="imports-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103  # PostgreSQL may run as another user
        engines = await asyncio.to_thread(start_engines, Path(folder) / "data")
        try:
            settings = Settings(
                database_url=engines.database_url,
                clickhouse_url=engines.clickhouse_url,
                port=0,
                refresh_default="manual",
            )
            await migrate_stores(settings)
            async with running(settings) as (url, _), open_resources(settings) as resources:
                heads = [
                    "file",
                    "rows in",
                    "events",
                    "rows rejected, with the reason",
                    "seconds",
                    "rows/s",
                    "CPU s of reading",
                ]
                print(f"| {' | '.join(heads)} |\n|---|---:|---:|---|---:|---:|---:|")
                for place, file in enumerate(file for file in files(number) if only in file.says):
                    tenant = await resources.tenants.create(f"shop-{place}")
                    _, key = await resources.keys.create(tenant)
                    await asyncio.to_thread((path := Path(folder) / file.name).write_bytes, file.content)
                    began = time.perf_counter()
                    report = await import_file(path, layout=file.layout, url=url, key=key, console=Console(quiet=True))
                    took = time.perf_counter() - began
                    rejected = f"{report.skipped:,}" + (f": {told}" if (told := reasons(report)) else "")
                    began = time.thread_time()
                    assert sum(1 for _ in read_rows(path, layout=file.layout))
                    numbers = [f"{took:.1f}", f"{report.read / took:,.0f}", f"{time.thread_time() - began:.2f}"]
                    cells = [file.says, f"{report.read:,}", f"{report.queued:,}", rejected, *numbers]
                    print(f"| {' | '.join(cells)} |", flush=True)
        finally:
            await asyncio.to_thread(engines.stop)


def main() -> None:
    """Measure and say on which machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--only", default="", help="files whose description holds this")
    options = parser.parse_args()
    configure_logging(level="error", form="console")
    print(f"{machine()}, load {os.getloadavg()[0]:.0f}", end="\n\n")
    asyncio.run(measure(options.rows, options.only))


if __name__ == "__main__":
    main()
