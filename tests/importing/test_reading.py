"""A file becomes events."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from segment_copilot.errors import InvalidInput
from segment_copilot.importing import BadRow, Layout, Row, read_rows

ECOM = Path(__file__).parent.parent / "data" / "ecom.csv.gz"
ECOM_TRAITS = ("acquisition_channel", "user_cohort", "user_lifecycle", "platform")
PLAIN = Layout(user="user", event="event", time="time")
COLUMNS = Layout(user="user", event="event", time="time", trait=("plan", "city"))


def read(path: Path, layout: Layout = COLUMNS, **options: Any) -> list[Row | BadRow]:
    return list(read_rows(path, layout=layout, **options))


def written(tmp_path: Path, *lines: str, name: str = "file.csv") -> Path:
    path = tmp_path / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    return path


def events(rows: Iterable[Row | BadRow]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for row in rows:
        assert isinstance(row, Row), row
        found += row.events
    return found


HEADER = "user,event,time,plan,city,total,note"


def test_cells_become_numbers_text_or_nothing(tmp_path: Path):
    cells = ["89.95", "10.0", "1e3", "-0", "007", "+5", ".5", " 10", "1,000", "NaN", "1e999", "9" * 400, "true", "é"]
    path = tmp_path / "file.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["user", "event", "time", "a", "b"], *(["7", "e", "2026-01-01", cell, ""] for cell in cells)]
        )

    rows = events(read(path, layout=PLAIN))

    assert [row["payload"] for row in rows] == [
        {"a": value} for value in (89.95, 10.0, 1000.0, 0, *cells[4:])
    ]  # fmt: skip
    assert {row["user_id"] for row in rows} == {"7"}


def test_a_trait_is_sent_when_it_differs_from_the_users_previous_row(tmp_path: Path):
    path = written(
        tmp_path,
        HEADER,
        "ana,view,2026-01-01,free,Rome,,",
        "ben,view,2026-01-01,free,,,",
        "ana,view,2026-01-02,free,Rome,,",
        "ana,buy,2026-01-03,pro,Rome,5,x",
        "ana,view,2026-01-04,,Rome,,",  # an empty cell is absent: nothing to say
        "ana,view,2026-01-05,pro,Rome,,",
        "ben,view,2026-01-06,free,7,,",
    )

    identifies = [event for event in events(read(path)) if event["event_type"] == "context_identified"]

    assert [(one["user_id"], one["occurred_at"][:10], one["payload"]) for one in identifies] == [
        ("ana", "2026-01-01", {"plan": "free", "city": "Rome"}),
        ("ben", "2026-01-01", {"plan": "free"}),
        ("ana", "2026-01-03", {"plan": "pro"}),
        ("ana", "2026-01-05", {"plan": "pro"}),
        ("ben", "2026-01-06", {"city": 7}),
    ]


def test_ids_are_of_the_file_and_the_line_unless_a_column_has_them(tmp_path: Path):
    path = written(
        tmp_path, "user,event,time,plan,city,key", "a,e,2026-01-01,x,,k1", "a,e,2026-01-01,x,,", "a,e,2026-01-01,x,,"
    )
    again = written(tmp_path, *path.read_text().splitlines(), name="copy.csv")
    zipped = tmp_path / "zipped.csv.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    other = written(tmp_path, *path.read_text().splitlines(), "b,e,2026-01-01,,,", name="other.csv")

    def ids(path: Path, layout: Layout = COLUMNS) -> list[str]:
        return [event["event_id"] for event in events(read_rows(path, layout=layout))]

    assert len(set(ids(path))) == 4
    assert ids(path)[1:] == sorted(ids(path)[1:])
    assert ids(path) == ids(again) == ids(zipped)
    assert not set(ids(path)) & set(ids(other))
    own = ids(path, Layout(user="user", event="event", time="time", trait=("plan",), id="key"))
    assert own == [ids(path)[0], "k1", *ids(path)[2:]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-01 12:00:00", "2026-06-01T10:00:00+00:00"),
        ("2026-06-01T12:00:00Z", "2026-06-01T12:00:00+00:00"),
        ("2026-06-01", "2026-05-31T22:00:00+00:00"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00+00:00"),  # occurs twice: the first
        ("2026-03-29 02:30:00", "2026-03-29T01:30:00+00:00"),  # does not occur: moved on by the gap
    ],
)
def test_a_time_without_an_offset_is_in_the_time_zone(tmp_path: Path, text, expected):
    path = written(tmp_path, "user,event,time", f"a,e,{text}")

    rows = events(read(path, layout=Layout(user="user", event="event", time="time", timezone="Europe/Rome")))

    assert [row["occurred_at"] for row in rows] == [expected]


def test_times_move_together(tmp_path: Path):
    path = written(
        tmp_path, "user,event,time", "a,e,2026-01-01", "a,e,broken", "a,e,2026-03-01 06:00Z", "a,e,2026-02-01"
    )

    rows = read(path, layout=PLAIN, shift_to_now=True, now=datetime(2026, 3, 11, 6, tzinfo=UTC))

    assert events(row for row in rows if isinstance(row, Row))[0]["occurred_at"] == "2026-01-11T00:00:00+00:00"


def test_a_bad_row_is_named_by_its_line_and_the_others_are_read(tmp_path: Path):
    path = written(
        tmp_path,
        "user,event,time,note",
        'a,e,2026-01-01,"two',
        'lines"',
        ",e,2026-01-01,",
        "a,,2026-01-01,",
        "a,e,,",
        "a,e,1800-01-01,",
        "a,e,2026-01-01,1,2",
        "a,e,2026-01-01,x\udcff",
        "a,e,2026-01-01,é",
        "",
        "a,e,2026-01-01",
    )

    rows = read(path, layout=PLAIN)

    assert [(row.line, row.reason.partition(":")[0]) for row in rows if isinstance(row, BadRow)] == [
        (4, "user"),
        (5, "event"),
        (6, "time"),
        (7, "occurred_at"),
        (8, "It has 5 cells, and the header 4."),
        (9, "It is not UTF-8."),
    ]
    assert [row.line for row in rows if isinstance(row, Row)] == [3, 10, 12]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["user,event,when", "a,e,2026-01-01"], "unknown_column"),
        (["user,event,time,user"], "duplicate_column"),
        ([], "unreadable_file"),
    ],
)
def test_a_wrong_header_stops_the_import(tmp_path: Path, lines, code):
    with pytest.raises(InvalidInput) as caught:
        read(written(tmp_path, *lines), layout=PLAIN)

    assert caught.value.code == code


def test_a_cut_gzip_file_stops_the_import(tmp_path: Path):
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"user,event,time\n" + b"a,e,2026-01-01\n" * 1000)[:-20])

    with pytest.raises(InvalidInput, match="not a whole gzip file"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"user;event;time;total\r\nana;buy;2026-06-20 13:14;8,5\r\n",
        b"user\tevent\ttime\ttotal\nana\tbuy\t2026-06-20 13:14\t8,5\n",
        b"\xef\xbb\xbfuser|event|time|total\nana|buy|2026-06-20 13:14|8,5\n",
        b'"user", event,Time ,time,total\nana , buy ,,2026-06-20T13:14:00Z,"8,5",\n,,,\n',
        "user;event;time;total\nana;buy;2026-06-20 13:14;8,5\n".encode("utf-16"),
        b'[\n {"user": "ana", "event": "buy",\n "time": "2026-06-20T13:14:00Z", "total": "8,5"}]',
        b'{"user": "ana", "event": "buy", "time": 1781961240, "total": "8,5"}\n',
        b'user,event,time,total\nana,buy,1781961240000,"8,5"\n',
    ],
    ids=["semicolons", "tabs", "bars", "blanks", "utf-16", "array", "epoch", "milliseconds"],
)
def test_files_as_people_have_them_say_the_same(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)

    (event,) = events(read(path, layout=PLAIN))

    assert (event["user_id"], event["event_type"]) == ("ana", "buy")
    assert datetime.fromisoformat(event["occurred_at"]) == datetime(2026, 6, 20, 13, 14, tzinfo=UTC)
    assert event["payload"] == {"total": "8,5"}


def test_columns_are_found_inside_of_objects(tmp_path: Path):
    properties = {"time": 1781956498, "distinct_id": "d-1", "$insert_id": "i-1", "plan": "pro", "$city": "Porto"}
    path = written(tmp_path, json.dumps({"event": "Signup", "properties": properties}))
    layout = Layout(
        user="properties.distinct_id",
        event_name="seen",
        time="properties.time",
        id="properties.$insert_id",
        trait=("properties.plan",),
    )

    identify, event = events(read(path, layout=layout))

    assert (event["user_id"], event["event_type"], event["event_id"]) == ("d-1", "seen", "i-1")
    assert event["payload"] == {"event": "Signup", "properties": {"$city": "Porto"}}
    assert identify["payload"] == {"properties.plan": "pro"}


@pytest.mark.parametrize("text", ["20.06.2026 25:00", "4619.55", "1.78196E+09", "31 June 2026", "soon"])
def test_a_time_that_cannot_be_read_is_shown(tmp_path: Path, text: str):
    (row,) = read(written(tmp_path, "user,event,time", f"ana,buy,{text}"), layout=PLAIN)

    assert isinstance(row, BadRow)
    assert text in row.reason
    assert "year-month-day" in row.reason


def test_ndjson_keeps_its_types(tmp_path: Path):
    lines = [
        {"user": 7, "event": "e", "time": "2026-01-01", "plan": "pro", "total": "10", "tags": ["x"], "gift": True},
        {"user": "7", "event": "e", "time": "2026-01-02", "plan": None, "none": None},
        {"user": "7", "event": "e", "time": "2026-01-03", "plan": None, "payload": {"total": 5}, "more": 1},
        {"user": True, "event": "e", "time": "2026-01-03"},
        [],
    ]
    path = written(tmp_path, *map(json.dumps, lines), "{broken", "", name="file.ndjson")

    rows = read(path)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:24]
    assert events(row for row in rows if isinstance(row, Row)) == [
        {"user_id": "7", "occurred_at": "2026-01-01T00:00:00+00:00", "event_type": "context_identified", "payload": {"plan": "pro"}, "event_id": digest + "-0000000001-t"},
        {"user_id": "7", "occurred_at": "2026-01-01T00:00:00+00:00", "event_type": "e", "payload": {"total": "10", "tags": ["x"], "gift": True}, "event_id": digest + "-0000000001"},
        {"user_id": "7", "occurred_at": "2026-01-02T00:00:00+00:00", "event_type": "context_identified", "payload": {"plan": None}, "event_id": digest + "-0000000002-t"},
        {"user_id": "7", "occurred_at": "2026-01-02T00:00:00+00:00", "event_type": "e", "payload": {"none": None}, "event_id": digest + "-0000000002"},
        {"user_id": "7", "occurred_at": "2026-01-03T00:00:00+00:00", "event_type": "e", "payload": {"more": 1, "total": 5}, "event_id": digest + "-0000000003"},
    ]  # fmt: skip
    assert [row.line for row in rows if isinstance(row, BadRow)] == [4, 5, 6]


def test_a_file_that_nobody_here_wrote_is_read_whole():
    layout = Layout(user="user_id", event="event", time="timestamp", trait=ECOM_TRAITS)
    with gzip.open(ECOM, "rt", newline="") as file:
        expected = list(csv.DictReader(file))

    read_events = events(read(ECOM, layout=layout))

    identifies = [event for event in read_events if event["event_type"] == "context_identified"]
    others = [event for event in read_events if event["event_type"] != "context_identified"]
    assert len(expected) == 31_106
    assert [(one["user_id"], one["event_type"], one["occurred_at"], one["payload"]) for one in others] == [
        (row["user_id"], row["event"], f"{row['timestamp'].replace(' ', 'T')}+00:00", {"session_id": row["session_id"]})
        for row in expected
    ]
    assert len({event["event_id"] for event in read_events}) == len(read_events)
    latest: dict[str, dict[str, str]] = {}
    for identify in sorted(identifies, key=lambda one: (one["occurred_at"], one["event_id"])):
        latest.setdefault(identify["user_id"], {}).update(identify["payload"])
    last_row = {row["user_id"]: row for row in sorted(expected, key=lambda row: row["timestamp"])}
    assert latest == {user: {trait: row[trait] for trait in ECOM_TRAITS} for user, row in last_row.items()}
    assert Counter(event["event_type"] for event in others)["purchase"] == 470
