"""How one definition became another: a patch that does it, and the changes in words."""

from __future__ import annotations

from typing import Any

import jsonpatch
import msgspec
import pytest

from segment_copilot.language import decode, edits, encode
from segment_copilot.language.changes import changes
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

BOUGHT = {"type": "event_count", "event_type": "order_placed"}
TWICE = BOUGHT | {"value": 2}
LATELY = {"type": "recency", "event_type": "order_placed", "operator": "lt", "window_days": 30}
SEEN = {"type": "event_count", "event_type": "page_viewed"}
SPANISH = {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}
FRENCH = SPANISH | {"value": "FR"}
PRO = {"type": "user_property", "property": "plan", "operator": "eq", "value": "pro"}
OF_MONTH = {"measure": "sum", "event_type": "order_placed", "property": "total", "window": {"period": "this_month"}}
MORE_THAN_LAST_MONTH = {
    "type": "measure_compare",
    "left": OF_MONTH,
    "operator": "gt",
    "right": OF_MONTH | {"window": {"period": "last_month"}},
}
STAFF = {"type": "segment_membership", "segment_id": 9}


def of(*conditions: Any, logic: str = "AND", **more: Any) -> dict[str, Any]:
    return {"logic": logic, "conditions": list(conditions), **more}


def group(*conditions: Any, logic: str = "OR", **more: Any) -> dict[str, Any]:
    return {"type": "group", **of(*conditions, logic=logic, **more)}


CASES = [
    (of(BOUGHT), of(BOUGHT), []),
    (of(BOUGHT), of(TWICE), [("changed", "/conditions/0", "/conditions/0")]),
    (of(BOUGHT, SPANISH), of(SPANISH, TWICE), [("changed", "/conditions/0", "/conditions/1")]),
    (of(BOUGHT), of(BOUGHT, SPANISH), [("added", None, "/conditions/1")]),
    (of(SPANISH, BOUGHT), of(BOUGHT), [("removed", None, "/conditions/0")]),
    (of(BOUGHT), of(LATELY), [("changed", "/conditions/0", "/conditions/0")]),
    (of(BOUGHT), of(SEEN), [("changed", "/conditions/0", "/conditions/0")]),
    (of(SPANISH), of(BOUGHT), [("removed", None, "/conditions/0"), ("added", None, "/conditions/0")]),
    (of(SPANISH), of(PRO), [("removed", None, "/conditions/0"), ("added", None, "/conditions/0")]),
    (of(BOUGHT, SPANISH, PRO), of(PRO, BOUGHT, SPANISH), [("moved", "/conditions/2", "/conditions/0")]),
    (of(BOUGHT, logic="AND"), of(BOUGHT, logic="OR"), [("changed", "/logic", "/logic")]),
    (
        of(BOUGHT, SPANISH, PRO),
        of(PRO, group(BOUGHT, SPANISH)),
        [
            ("added", None, "/conditions/1"),
            ("moved", "/conditions/0", "/conditions/1/conditions/0"),
            ("moved", "/conditions/1", "/conditions/1/conditions/1"),
        ],
    ),
    (of(PRO), of(PRO, group(BOUGHT, SPANISH)), [("added", None, "/conditions/1")]),
    (
        of(PRO, group(BOUGHT, SPANISH)),
        of(group(BOUGHT, FRENCH, logic="AND", negate=True), PRO),
        [
            ("changed", "/conditions/1/negate", "/conditions/0/negate"),
            ("changed", "/conditions/1/logic", "/conditions/0/logic"),
            ("changed", "/conditions/1/conditions/1", "/conditions/0/conditions/1"),
            ("moved", "/conditions/1", "/conditions/0"),
        ],
    ),
    (
        of(group(BOUGHT, SPANISH, PRO, logic="AT_LEAST", at_least=2)),
        of(group(BOUGHT, SPANISH, PRO, logic="AT_LEAST", at_least=3)),
        [("changed", "/conditions/0/at_least", "/conditions/0/at_least")],
    ),
    (
        of({"type": "rank", "by": OF_MONTH, "top": 5}, BOUGHT),
        of({"type": "rank", "by": OF_MONTH, "top_percent": 5}, BOUGHT),
        [("changed", "/conditions/0", "/conditions/0")],
    ),
    (
        of(MORE_THAN_LAST_MONTH, BOUGHT),
        of(MORE_THAN_LAST_MONTH | {"factor": 2}, BOUGHT),
        [("changed", "/conditions/0", "/conditions/0")],
    ),
    (
        of(group(BOUGHT, SPANISH)),
        of(group(BOUGHT, SPANISH, logic="AT_LEAST", at_least=2)),
        [("changed", "/conditions/0/logic", "/conditions/0/logic")],
    ),
    (of(BOUGHT), of(BOUGHT, exclude=of(STAFF)), [("added", None, "/exclude")]),
    (of(BOUGHT, exclude=of(STAFF)), of(BOUGHT), [("removed", None, "/exclude")]),
    (
        of(BOUGHT, PRO, exclude=of(STAFF)),
        of(BOUGHT, exclude=of(STAFF, PRO)),
        [("moved", "/conditions/1", "/exclude/conditions/1")],
    ),
    (of(BOUGHT), of(BOUGHT, timezone="Europe/Madrid"), [("added", None, "/timezone")]),
]


@pytest.mark.parametrize(("before", "after", "expected"), CASES)
def test_a_change_is_told_where_it_is_and_where_it_was(before, after, expected):
    found = msgspec.to_builtins(changes(decode(before), decode(after), {9: "Staff"}))

    told = [(one["change"], one.get("from"), one["pointer"]) for one in found]
    assert sorted(told, key=repr) == sorted(expected, key=repr)


def test_a_change_is_told_in_words():
    before, after = decode(of(BOUGHT, exclude=of(STAFF))), decode(of(TWICE, SPANISH, logic="OR"))

    found = msgspec.to_builtins(changes(before, after, {9: "Staff"}))

    assert [(one["pointer"], one.get("before_words"), one.get("after_words")) for one in found] == [
        ("/conditions/0", "who placed an order", "who placed an order at least 2 times"),
        ("/conditions/1", None, "whose country is “ES”"),
        ("/exclude", "who are in the segment “Staff”", None),
        ("/logic", "all of these hold", "any of these holds"),
    ]


def test_the_patch_makes_one_definition_of_another_and_the_changes_say_so():
    """Of definitions that have nothing, much or all in common."""
    draw = Draw(29, world(AS_OFS[:1], ZONES[:2]))
    drawn = [decode(draw.definition((1,))) for _ in range(120)]
    for number, before in enumerate(drawn):
        for other in (drawn[number - 1], before, drawn[number // 2]):
            shared = [*other.conditions, *before.conditions][: 1 + number % 4]
            after = msgspec.structs.replace(other, conditions=shared[:: -1 if number % 2 else 1])
            documents = [msgspec.json.decode(encode(one)) for one in (before, after)]

            patch = msgspec.json.decode(msgspec.json.encode(edits.difference(*documents)))
            assert jsonpatch.apply_patch(documents[0], patch) == documents[1]

            found = changes(before, after, {})
            back = changes(after, before, {})
            assert bool(found) == (documents[0] != documents[1])
            assert {one.change for one in found} - {"moved"} == {
                {"added": "removed", "removed": "added"}.get(one.change, one.change) for one in back
            } - {"moved"}
