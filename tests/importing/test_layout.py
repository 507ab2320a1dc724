"""Options, a map and a preset say together how a file is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segment_copilot.errors import InvalidInput
from segment_copilot.importing import BadRow, Layout, make_layout, missing_columns, read_rows

CSV = "Kunde;Ereignis;Zeit;Betrag;Newsletter\nana;Kauf;05.06.2026 13:14;89,95;Ja\n"


def test_a_map_holds_the_options_and_an_option_wins(tmp_path: Path):
    path = tmp_path / "map.toml"
    path.write_text(
        'preset = "stripe"\nuser = "Customer ID"\ntime-format = "day-first"\ntrait = ["Plan"]\n', encoding="utf-8-sig"
    )

    layout = make_layout(map_file=path, time_format="month-first", event_name="payment")

    assert layout == Layout(
        user="Customer ID",
        event_name="payment",
        time=("Created date (UTC)", "Created (UTC)"),
        id=("id", "Status"),
        flags=("Captured",),
        trait=("Plan",),
        time_format="month-first",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("user = ", "is not TOML"),
        ("usr = 'a'", "names 'usr', which no map has; there is user"),
        ("user = 5", "user must be a string or a list; it is 5"),
        ("preset = 'shopfy'", "There is no preset 'shopfy'; there is shopify"),
        ("encoding = 'utf-99'\nuser='u'\ntime='t'\nevent='e'", "'utf-99' is no encoding"),
    ],
)
def test_a_map_that_is_wrong_is_told(tmp_path: Path, text: str, sentence: str):
    path = tmp_path / "map.toml"
    path.write_text(text)

    with pytest.raises(InvalidInput) as caught:
        make_layout(map_file=path)

    assert sentence in caught.value.detail


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "Give --event COLUMN or --event-name NAME"),
        ({"event": "e", "event_name": "n"}, "one of the two"),
        ({"traits_only": True, "event": "e"}, "leave out --event"),
        ({"event": "e", "separator": "::"}, "'::' is no separator"),
        ({"event": "e", "encoding": "rot13"}, "'rot13' is no encoding"),
        ({"event": "e", "encoding": "base64"}, "'base64' is no encoding"),
        ({"event": "e", "encoding": "\0"}, "is no encoding"),
    ],
)
def test_options_that_are_wrong_by_themselves_are_told(given: dict[str, Any], sentence: str):
    with pytest.raises(InvalidInput) as caught:
        make_layout(user="u", time="t", **given)

    assert sentence in caught.value.detail


def test_rows_that_describe_users_need_no_time():
    assert missing_columns(make_layout(user="u", traits_only=True)) == []
    assert missing_columns(make_layout(traits_only=True)) == ["--user"]
    assert missing_columns(make_layout(event="e")) == ["--user", "--time"]


def first(tmp_path: Path, content: str | bytes, **options: Any) -> dict[str, Any] | str:
    path = tmp_path / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    row = next(iter(read_rows(path, layout=make_layout(**options))))
    return row.reason if isinstance(row, BadRow) else row.events[-1]


GERMAN = {"user": "Kunde", "event": "Ereignis", "time": "Zeit"}


@pytest.mark.parametrize(
    ("encoding", "given"),
    [
        ("utf-8", ""), ("utf-8-sig", ""), ("utf-8-sig", "utf-8"), ("utf-16", ""), ("utf-16-le", ""), ("utf-16-be", ""),
        ("utf-32", ""), ("cp1252", ""), ("latin-1", "latin-1"), ("cp850", "cp850"), ("utf-16-le", "utf-16-le"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", ["CSV", "NDJSON", "array"])
def test_a_text_is_read_in_its_encoding(tmp_path: Path, encoding: str, given: str, shape: str):
    content = {
        "CSV": "user,event,time,town\nmüller,käufe,2026-06-20,Köln\n",
        "NDJSON": '{"user":"müller","event":"käufe","time":"2026-06-20","town":"Köln"}\n',
        "array": '[{"user":"müller","event":"käufe","time":"2026-06-20","town":"Köln"}]',
    }[shape]

    event = first(tmp_path, content.encode(encoding), user="user", event="event", time="time", encoding=given)

    assert isinstance(event, dict)
    assert (event["user_id"], event["event_type"], event["payload"]) == ("müller", "käufe", {"town": "Köln"})


def test_a_wrong_encoding_is_told_and_not_replaced(tmp_path: Path):
    text = "user,event,time,town\nana,buy,2026-06-20,Köln\n"
    columns = {"user": "user", "event": "event", "time": "time"}

    assert first(tmp_path, text.encode("latin-1"), encoding="ascii", **columns) == "It is not ascii."
    assert first(tmp_path, text.encode("latin-1"), encoding="utf-8", **columns) == "It is not UTF-8."
    with pytest.raises(InvalidInput, match="is not UTF-16"):
        first(tmp_path, text.encode("utf-16") + b"x", **columns)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (CSV, {}),
        (CSV.replace(";", "\t"), {}),
        (CSV.replace(";", "|"), {"separator": "|"}),
        (CSV.replace(";", "\t"), {"separator": "tab"}),
        (CSV.replace(";", "~"), {"separator": "~"}),
        ("sep=~\r\n" + CSV.replace(";", "~"), {}),
        ("\n\n" + CSV, {}),
        (CSV.replace("\n", "\r"), {}),
    ],
    ids=["semicolon", "tab", "bar", "tab given", "tilde given", "sep=", "blank lines", "old Mac"],
)
def test_cells_are_parted_by_what_is_found_or_given(tmp_path: Path, content: str, options: dict[str, Any]):
    event = first(tmp_path, content, **GERMAN, **options)

    assert isinstance(event, dict)
    assert event["occurred_at"] == "2026-06-05T13:14:00+00:00"
    assert event["payload"] == {"Betrag": "89,95", "Newsletter": "Ja"}


def test_columns_without_a_name_keep_their_cells(tmp_path: Path):
    event = first(tmp_path, "user,event,,time,\nana,buy,7,2026-06-20,\n", user="user", event="event", time="time")

    assert isinstance(event, dict)
    assert event["payload"] == {"column_3": 7}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("Yes", True),
        ("no", False),
        ("Y", True),
        ("n", False),
        ("1", True),
        ("0", False),
    ],
)
def test_a_boolean_column_has_booleans(tmp_path: Path, cell: str, value: bool):  # noqa: FBT001
    content = f"user,event,time,optin,seen\nana,buy,2026-06-20,{cell},{cell}\n"

    event = first(tmp_path, content, user="user", event="event", time="time", boolean=("optin",))

    assert isinstance(event, dict)
    assert event["payload"]["optin"] is value
    assert not isinstance(event["payload"]["seen"], bool)


def test_a_boolean_column_with_another_word_is_told(tmp_path: Path):
    content = "user,event,time,optin\nana,buy,2026-06-20,maybe\n"

    told = first(tmp_path, content, user="user", event="event", time="time", boolean=("optin",))

    assert told == "optin: 'maybe' is neither yes nor no: a --boolean column has yes/no, true/false or 1/0."


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("12", ".", 12),
        ("1e3", ".", 1000.0),
        ("007", ".", 7),
        ("1,089.95", ".", 1089.95),
        ("1,089", ".", 1089),
        ("$8.50", ".", 8.5),
        ("-1'089.5", ".", -1089.5),
        ("1178,60", ",", 1178.6),
        ("1.089,95", ",", 1089.95),
        ("1.089", ",", 1089),
        ("1,089", ",", 1.089),
        ("89,95 €", ",", 89.95),
        ("1 089 000,5", ",", 1_089_000.5),
    ],
)
def test_a_number_column_has_numbers(tmp_path: Path, cell: str, decimal: str, value: float):
    content = f'user;event;time;total;seen\nana;buy;2026-06-20;"{cell}";"{cell}x"\n'

    event = first(tmp_path, content, user="user", event="event", time="time", number=("total",), decimal=decimal)

    assert isinstance(event, dict)
    assert event["payload"] == {"total": value, "seen": f"{cell}x"}
    assert type(event["payload"]["total"]) is type(value)


@pytest.mark.parametrize(
    ("cell", "decimal", "told"),
    [
        ("much", ".", "'much' is no number with a decimal point."),
        ("1178,60", ".", "'1178,60' is no number with a decimal point; by --decimal , it is one."),
        ("8.50", ",", "'8.50' is no number with a decimal comma; by --decimal . it is one."),
        ("1,08,95", ".", "'1,08,95' is no number with a decimal point."),
        ("1.0.8", ",", "'1.0.8' is no number with a decimal comma."),
    ],
)
def test_a_number_column_with_something_else_is_told(tmp_path: Path, cell: str, decimal: str, told: str):
    content = f"user;event;time;total\nana;buy;2026-06-20;{cell}\n"

    found = first(tmp_path, content, user="user", event="event", time="time", number=("total",), decimal=decimal)

    assert found == f"total: {told}"


@pytest.mark.parametrize("given", [{"number": ("total",), "decimal": ";"}, {"decimal": ","}])
def test_a_decimal_mark_is_one_of_two_and_of_a_column(given: dict[str, Any]):
    with pytest.raises(InvalidInput, match="--decimal with --number COLUMN"):
        make_layout(user="user", event="event", time="time", **given)


def test_rows_that_only_describe_users_are_identifies(tmp_path: Path):
    path = tmp_path / "people.csv"
    path.write_text(
        "mail,since,plan,city\nana,2026-01-01,pro,Rome\nben,2026-01-02,,\nana,2026-02-01,pro,Oslo\n,2026-02-01,x,y\n"
    )

    rows = list(read_rows(path, layout=make_layout(user="mail", time="since", traits_only=True)))

    assert [(event["user_id"], event["event_type"], event["occurred_at"][:10], event["payload"]) for row in rows if not isinstance(row, BadRow) for event in row.events] == [
        ("ana", "context_identified", "2026-01-01", {"plan": "pro", "city": "Rome"}),
        ("ben", "context_identified", "2026-01-02", {}),
        ("ana", "context_identified", "2026-02-01", {"city": "Oslo"}),
    ]  # fmt: skip
    assert [row.line for row in rows if isinstance(row, BadRow)] == [5]
    (only, *_) = read_rows(path, layout=make_layout(user="mail", time="since", traits_only=True, trait=("city",)))
    assert not isinstance(only, BadRow)
    assert only.events[0]["payload"] == {"city": "Rome"}


@pytest.mark.parametrize("cell", ["5.81234E+12", "5,8E+12"])
def test_an_id_that_a_spreadsheet_cut_is_nobodys(tmp_path: Path, cell: str):
    content = f'user,event,time,key\n"{cell}",buy,2026-06-20,k\nana,buy,2026-06-20,"{cell}"\n'
    columns = {"user": "user", "event": "event", "time": "time", "id": "key"}

    assert "was rounded by a spreadsheet" in str(first(tmp_path, content, **columns))
    other = first(tmp_path, "\n".join((content.splitlines()[0], content.splitlines()[2])), **columns)
    assert isinstance(other, dict)
    assert other["event_id"] != cell


def test_a_quote_that_never_closes_costs_its_line_alone(tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_text(
        'user,event,time,note\nana,buy,2026-06-20,"5 inch\nben,buy,2026-06-20,"two\nlines"\ncai,buy,2026-06-20,"a" b\n'
        + "".join(f"u{n},buy,2026-06-20,x\n" for n in range(9000))
    )

    rows = list(read_rows(path, layout=make_layout(user="user", event="event", time="time")))

    assert [(row.line, row.reason.partition(" (")[0]) for row in rows if isinstance(row, BadRow)] == [
        (2, "Its quotes are not those of CSV"),
        (5, "Its quotes are not those of CSV"),
    ]
    users = [row.events[0]["user_id"] for row in rows if not isinstance(row, BadRow)]
    assert users == ["ben", *(f"u{n}" for n in range(9000))]


def test_a_damaged_element_of_an_array_costs_itself(tmp_path: Path):
    path = tmp_path / "array.json"
    path.write_bytes(
        b'[{"user":"ana","event":"buy","time":"2026-06-20"},\n {"user":"\\ud800x"},\n 5, {"user":"b\xff"},{"user":"cai","event":"buy","time":"2026-06-20"}]'
    )

    rows = list(read_rows(path, layout=make_layout(user="user", event="event", time="time")))

    assert [row.line for row in rows if isinstance(row, BadRow)] == [2, 3, 4]
    assert [row.line for row in rows if not isinstance(row, BadRow)] == [1, 5]


ROWS = [{"user": "ana", "event": "buy", "time": "2026-06-20"}, {"user": "ben", "event": "buy", "time": "2026-06-20"}]


@pytest.mark.parametrize(
    ("text", "users"),
    [
        (json.dumps({"page": 0, "results": ROWS}), ["ana", "ben"]),
        (json.dumps({"data": ROWS, "links": {"next": None}, "tags": ["x"]}, indent=2), ["ana", "ben"]),
        (json.dumps(ROWS[0] | {"items": [{"sku": "x"}]}), ["ana"]),
        (json.dumps(ROWS[0] | {"items": [{"sku": "x"}]}, indent=2), ["ana"]),
        ("\n".join(map(json.dumps, ROWS)), ["ana", "ben"]),
        (json.dumps({"a": ROWS, "b": ROWS}), []),
        (json.dumps({"results": []}), []),
        ('{\n"results": [', []),
    ],
    ids=["answer", "answer in lines", "row", "row in lines", "rows", "two lists", "no rows", "cut"],
)
def test_one_object_is_a_row_or_an_answer_that_holds_them(tmp_path: Path, text: str, users: list[str]):
    path = tmp_path / "file.json"
    path.write_text(text)

    rows = list(read_rows(path, layout=make_layout(user="user", event="event", time="time")))

    assert [row.events[0]["user_id"] for row in rows if not isinstance(row, BadRow)] == users
    assert bool(users) is not any(isinstance(row, BadRow) for row in rows)
