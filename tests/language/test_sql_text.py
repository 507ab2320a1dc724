"""The compiled text: the same for every value, with no value in it, and always about one tenant at one instant."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from language.strategies import AS_OFS, EVENT_TYPES, ZONES, Draw, world
from segment_copilot.catalog import Catalog
from segment_copilot.compiler import CompiledQuery, compile_definition, render_members, render_preview
from segment_copilot.conditions import decode, parse

Json = dict[str, Any]

WORLD = world(AS_OFS[:1], ZONES[:2])
PAYLOADS = (
    "' OR 1=1 --",
    "\\' OR 1=1 --",
    "'; DROP TABLE events; --",
    "{p0:String}",
    "{tenant:UInt32}",
    "\\",
    "`",
    '"',
    "%s %(x)s $1 ?",
    "🙂 ñ \u202e",
    "line\nbreak\t/* comment */",
    "",
    "x" * 1024,
)
MARKER = "mzqk"  # in no word of the compiled text


def definitions(number: int) -> list[Json]:
    draw = Draw(99, WORLD)
    return [draw.definition((1,)) for _ in range(number)]


def compiled(definition: Json, *, as_of: datetime = AS_OFS[0], tenant_id: int = 1) -> list[CompiledQuery]:
    references = {1: decode({"logic": "AND", "conditions": [{"type": "event_count", "event_type": "view"}]})}
    plan = compile_definition(
        parse(definition), catalog=Catalog(), references=references, tenant_id=tenant_id, as_of=as_of
    ).plan
    return [render_members(plan), render_preview(plan, sample=10, breakdown=True)]


def with_strings(item: Any, text: str) -> Any:
    """*item* with every name, and every string that is compared as one, replaced by *text*."""
    if isinstance(item, list):
        return [with_strings(one, text) for one in item]
    if not isinstance(item, dict):
        return item
    changed = {key: with_strings(value, text) for key, value in item.items()}
    if "property" in item:
        changed["property"] = (text or "p").replace("\\", "\\\\").replace(".", "\\.")
    if "event_type" in item:
        changed["event_type"] = with_names(item["event_type"], text)
    for name in item.keys() & {"events", "none_between"}:
        changed[name] = [with_names(step, text) if isinstance(step, str) else step for step in changed[name]]
    if "salt" in item:
        changed["salt"] = text or "s"
    if "operator" in item and compares_strings(item):
        for name in item.keys() & {"value", "value2"}:
            changed[name] = with_text(item[name], re.escape(text) if item["operator"] == "matches_regex" else text)
    return changed


def with_names(names: Any, text: str) -> Any:
    """A list keeps its length; what is no usual name stays."""
    if isinstance(names, list):
        return [with_names(name, text) for name in names]
    return (text or "e") if names in EVENT_TYPES else names


def with_text(value: Any, text: str) -> Any:
    if isinstance(value, list):
        return [with_text(one, text) for one in value]
    return text if isinstance(value, str) else value


def compares_strings(test: Json) -> bool:
    """Whether any other string may stand in its place: a date may not always."""
    dates = {"before", "after", "in_last", "not_in_last", "in_next", "anniversary_in_next"}
    if test.get("value_type") == "datetime" or test["operator"] in dates or test.get("type") == "event_time":
        return False
    ordered = test["operator"] in {"gt", "gte", "lt", "lte", "between", "not_between"}
    return not ordered or test.get("value_type") == "string"


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: ascii(payload)[:20])
def test_the_text_is_the_same_for_every_string(payload):
    for definition in definitions(30):
        usual, unusual = compiled(with_strings(definition, "usual")), compiled(with_strings(definition, payload))
        for one, other in zip(usual, unusual, strict=True):
            assert one.sql == other.sql
            assert one.params.keys() == other.params.keys()


def test_no_string_is_in_the_text_and_every_string_is_in_the_parameters():
    found = 0
    for definition in definitions(100):
        marked = with_strings(definition, MARKER)
        for query in compiled(marked):
            assert MARKER not in query.sql
            assert (MARKER in json.dumps(query.params, default=str)) == (MARKER in json.dumps(marked))
            found += MARKER in json.dumps(marked)
    assert found > 100


def test_no_number_or_instant_is_in_the_text():
    definition = {
        "logic": "AND",
        "conditions": [
            {"type": "event_count", "event_type": "e", "value": 918_273, "window_days": 4_321},
            {"type": "recency", "event_type": "e", "operator": "gt", "window_days": 4_321},
            {"type": "user_property", "property": "p", "operator": "between", "value": [918_273, 918_274.5]},
            {"type": "user_property", "property": "p", "operator": "contains", "value": 918_273},
            {"type": "user_property", "property": "p", "operator": "gt", "value": "1987-04-23"},
            {"type": "event_sequence", "events": ["e", "e"], "window": {"last": "4321h"}, "strict": True},
            *(
                {
                    "type": "monetary",
                    "event_type": "e",
                    "property": "p",
                    "metric": metric,
                    "operator": "gt",
                    "value": 918_273,
                }
                for metric in ("sum", "avg", "min", "max", "median", "count_distinct")
            ),
        ],
    }
    for query in compiled(definition, tenant_id=77_231):
        assert not re.search("918273|918274|4321|1987|77231|2026", query.sql)


def test_another_tenant_and_another_instant_do_not_change_the_text():
    for definition in definitions(40):
        one = compiled(definition)
        other = compiled(definition, as_of=datetime(2027, 2, 3, 4, 5, 6, 7, UTC), tenant_id=4_000_000_000)
        assert [query.sql for query in one] == [query.sql for query in other]


def test_every_table_is_read_for_the_one_tenant():
    for definition in definitions(100):
        for query in compiled(definition):
            reads = re.findall(r"FROM (?:events|traits|users)\b.*\n *WHERE (.*)", query.sql)
            assert reads
            assert len(reads) == len(re.findall(r"FROM \w", query.sql))
            assert all(read.startswith("tenant_id = {tenant:UInt32}") for read in reads)


def test_no_query_asks_for_the_time_or_for_chance():
    for definition in definitions(100):
        for query in compiled(definition):
            assert not re.search(r"\b(now|now64|today|yesterday|rand\w*|generate\w*|any|anyLast)\(", query.sql)
