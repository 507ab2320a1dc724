"""The compiled text: the same for every value, with no value in it, and always about one tenant at one instant."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from tests.support.language.compiled_text import compiled, compiled_whole, definitions, planned, with_strings

MARKER = "mzqk"  # in no word of the compiled text


def test_no_string_is_in_the_text_and_every_string_is_in_the_parameters():
    found = 0
    for definition in definitions(100):
        marked = with_strings(definition, MARKER)
        assert all(MARKER not in query.sql for query in compiled(marked))
        for query in compiled_whole(planned(marked)):
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


READ = re.compile(
    r"""^(\ *)FROM\ (?:events|traits|traits_current|users|user_numbers)\b.*
    (?=
      (?:\n\1LEFT\ ANY\ JOIN\ \( (?:\n\1\ .*)+ \n\1\)\ AS\ known\ ON\ .*)?  # a SELECT, which reads a table by itself
      \n\1WHERE\ (.*)
    )""",
    re.MULTILINE | re.VERBOSE,
)
"""A table, and the WHERE of the same SELECT: that on the margin of its FROM."""


def test_every_table_is_read_for_the_one_tenant():
    joined = 0
    for definition in definitions(100):
        for query in compiled(definition):
            reads = [where for _, where in READ.findall(query.sql)]
            joined += "LEFT ANY JOIN" in query.sql
            assert reads
            assert len(reads) == len(re.findall(r"FROM \w", query.sql))
            assert all(read.startswith("tenant_id = {tenant:UInt32}") for read in reads)
    assert joined


def test_no_query_asks_for_the_time_or_for_chance():
    for definition in definitions(100):
        for query in compiled(definition):
            assert not re.search(r"\b(now|now64|today|yesterday|rand\w*|generate\w*|any|anyLast)\(", query.sql)
