"""Rows that are not imported are kept in a file that can be mended and imported alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from segment_copilot.importing import BadRow, Layout, make_layout, read_rows
from segment_copilot.importing.files import look_at
from segment_copilot.importing.records import read_table
from segment_copilot.importing.rejects import Rejects

PLAIN = make_layout(user="user", event="event", time="time")


def reject(path: Path, layout: Layout = PLAIN) -> Path:
    """Write what is wrong with *path* as an import does."""
    rejects = Rejects(path, read_table(path, facts=look_at(path, encoding=layout.encoding), layout=layout))
    for row in read_rows(path, layout=layout):
        if isinstance(row, BadRow):
            rejects.add(row.reason, row.sources)
    found = rejects.finish()
    assert found is not None, rejects.failure
    return found


def payloads(path: Path, layout: Layout = PLAIN) -> list[dict[str, Any]]:
    rows = list(read_rows(path, layout=layout))
    assert [row for row in rows if isinstance(row, BadRow)] == []
    return [event["payload"] for row in rows if not isinstance(row, BadRow) for event in row.events]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_keeps_its_columns_and_is_imported_once_mended(tmp_path: Path, encoding: str, separator: str):
    path = tmp_path / "file.csv"
    lines = [
        ["user", "event", "time", "town", "note"],
        ["ana", "buy", "2026-06-20", "Köln", "fine"],
        ["ben", "buy", "soon", "Köln", f'"two{separator}\nlines"'],
        ["", "buy", "2026-06-20", "Köln", "7"],
        ["cai", "buy", "2026-06-20", "Köln", "8", "9"],
        ["dan", "buy", "2026-06-20", "Köln", '"a" b'],
    ]
    path.write_bytes("".join(separator.join(cells) + "\n" for cells in lines).encode(encoding))

    found = reject(path)

    assert found == tmp_path / "file.csv.rejects.csv"
    with found.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=separator))
    assert rows[0] == ["import_line", "import_reason", "user", "event", "time", "town", "note"]
    assert [row[0] for row in rows[1:]] == ["4", "5", "6", "7"]
    assert rows[1][1].startswith("time: 'soon' is no time")
    assert rows[1][2:] == ["ben", "buy", "soon", "Köln", f"two{separator}\nlines"]
    assert [len(row) for row in rows[1:]] == [7, 7, 8, 7]

    text = found.read_text("utf-8-sig")
    for wrong, right in (("soon", "2026-06-21"), (f"{separator}8{separator}9", f"{separator}9"), ('"a" b', "a b")):
        text = text.replace(wrong, right)
    text = text.replace(f"be anybody's.{separator}{separator}", f"be anybody's.{separator}eve{separator}")
    found.write_text(text, "utf-8-sig")
    town = {"town": "Köln"}
    assert payloads(found) == [town | {"note": note} for note in (f"two{separator}\nlines", 7, 9, "a b")]


@pytest.mark.parametrize("shape", ["lines", "array"])
def test_json_keeps_its_types(tmp_path: Path, shape: str):
    path = tmp_path / "file.json"
    rows = [
        '{"user":"ana","event":"buy","time":"2026-06-20"}',
        '{"user":"ben","event":"buy","time":"soon","tags":["a"],"total":"7","name":"Kö, \\"x\\""}',
    ]
    path.write_text("\n".join(rows) if shape == "lines" else f"[{','.join(rows)}]")

    found = reject(path)

    assert found.read_text("utf-8-sig").startswith("import_line,import_reason,import_row\n2,")
    again = reject(found)
    again.write_text(again.read_text("utf-8-sig").replace("'soon'", "").replace("soon", "2026-06-20"), "utf-8-sig")
    assert payloads(again) == [{"tags": ["a"], "total": "7", "name": 'Kö, "x"'}]


def test_what_is_rejected_again_keeps_its_columns(tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_text("user,event,time,note\nana,buy,soon,7\n")

    again = reject(reject(path))

    with again.open(encoding="utf-8-sig", newline="") as file:
        header, row = csv.reader(file)
    assert header == ["import_line", "import_reason", "user", "event", "time", "note"]
    assert (row[0], row[2:]) == ("2", ["ana", "buy", "soon", "7"])


def test_an_order_is_rejected_with_all_its_rows(tmp_path: Path):
    path = tmp_path / "orders.csv"
    header = "Name,Email,Created at,Total,Id,Lineitem name\n"
    path.write_text(f"{header}#1,,2026-06-20,9,1,Mug\n#1,,2026-06-20,,,Tea\n#2,ben,2026-06-20,5,2,Tea\n")

    found = reject(path, make_layout(preset="shopify"))

    with found.open(encoding="utf-8-sig", newline="") as file:
        assert [row["Lineitem name"] for row in csv.DictReader(file)] == ["Mug", "Tea"]


def test_the_file_of_an_earlier_import_is_kept(tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_text("user,event,time\nana,buy,soon\n")

    first = reject(path)
    assert reject(path) == first
    first.write_text("half mended")
    second = reject(path)

    assert (first.name, second.name) == ("file.csv.rejects.csv", "file.csv.rejects.2.csv")
    assert first.read_text() == "half mended"
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["file.csv", first.name, second.name])


def test_bytes_that_are_no_text_stay_what_they_are(tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_bytes(b"user,event,time,note\nana,buy,2026-06-20,\xc3\xa9\nben,buy,2026-06-20,a\xffb\n")

    found = reject(path)

    assert found.read_bytes().endswith(b"ben,buy,2026-06-20,a\xffb\r\n")


def test_a_place_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path):
    path = tmp_path / "gone" / "file.csv"
    rejects = Rejects(path, read_table_of(tmp_path))

    rejects.add("wrong", ())
    rejects.add("wrong", ())

    assert rejects.finish() is None
    assert "cannot be written (No such file or directory)" in rejects.failure


def read_table_of(tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_text("user,event,time\nana,buy,soon\n")
    return read_table(path, facts=look_at(path), layout=PLAIN)
