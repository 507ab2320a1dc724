"""The audiences: their definitions, and hand-written SQL with its abbreviations written out.

In `best.sql`, `{tenant}` and `{as_of}` are the question, `{d30}` is thirty days before it and `{w7}` the Monday seven
weeks before this week's; all become literals. Four abbreviations stand for what the language demands of every reading:
`number(path)` a stored number or a text that is one, `millionths(path)` that number as an exact integer for sums,
`time_and_id()` the order of events of one user, `micros()` an instant as a positive number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from data import AS_OF, TENANT
from segment_copilot.stores.literals import literal

AUDIENCES = Path(__file__).parent / "audiences"
NUMBER = "'^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$'"


class Shape(msgspec.Struct, frozen=True):
    """A directory under `audiences/`."""

    name: str
    definition: dict[str, Any]
    references: dict[int, dict[str, Any]]

    @property
    def best(self) -> str:
        """The hand-written SQL, ready to run."""
        return write_out((AUDIENCES / self.name / "best.sql").read_text("utf-8"))


def twelve() -> list[Shape]:
    """Those that hold what the other benchmarks draw anew, and what is asked of shards."""
    return read_shapes()[:12]


def read_shapes() -> list[Shape]:
    """All of them, in order."""
    shapes = list[Shape]()
    for folder in sorted(path for path in AUDIENCES.iterdir() if path.is_dir()):
        named = folder / "references.json"
        references = msgspec.json.decode(named.read_bytes(), type=dict[int, dict[str, Any]]) if named.exists() else {}
        shapes.append(Shape(folder.name, msgspec.json.decode((folder / "definition.json").read_bytes()), references))
    return shapes


def write_out(sql: str) -> str:
    """*sql* without placeholders and abbreviations."""
    sql = re.sub(r"millionths\(([a-z_.]+)\)", lambda match: _millionths(_json_number(match[1])), sql)
    sql = re.sub(r"\bnumber\(([a-z_.]+)\)", lambda match: _json_number(match[1]), sql)
    sql = sql.replace("time_and_id()", "concat(reverse(reinterpretAsFixedString(toUInt64(micros()))), event_id)")
    sql = sql.replace("micros()", "(toUnixTimestamp64Micro(occurred_at) + 2208988800000001)")
    sql = sql.replace("{tenant}", literal("UInt32", TENANT))
    return re.sub(r"\{(as_of|[dw]\d+)\}", lambda match: literal("DateTime64(6, 'UTC')", _instant(match[1])), sql)


def _instant(name: str) -> datetime:
    if name == "as_of":
        return AS_OF
    if name.startswith("d"):
        return AS_OF - timedelta(days=int(name[1:]))
    monday = AS_OF.date() - timedelta(days=AS_OF.weekday(), weeks=int(name[1:]))
    return datetime(monday.year, monday.month, monday.day, tzinfo=UTC)


def _json_number(path: str) -> str:
    text = f"{path}.:String"
    parsed = f"if(match({text}, {NUMBER}), nullIf(nullIf(toFloat64OrNull({text}), inf), -inf), NULL)"
    return f"coalesce({path}.:Float64, toFloat64({path}.:Int64), toFloat64({path}.:UInt64), {parsed})"


def _millionths(number: str) -> str:
    return f"toInt128(roundBankers(if(ifNull(abs({number}) <= 9e12, 0), assumeNotNull({number}), 0) * 1000000))"
