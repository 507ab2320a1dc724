"""A patch changes what it names: every other condition keeps its bytes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jsonpatch
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_copilot.errors import InvalidDefinition, InvalidInput
from segment_copilot.language import decode, encode
from segment_copilot.language.edits import PatchOperation, apply_patch, conditions, difference, keep
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

WORLD = world(AS_OFS[:1], ZONES[:2])
BASE = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "order", "operator": "gte", "value": 1},
        {"type": "group", "logic": "or", "conditions": [{"type": "user_property", "property": "a", "operator": "is_set"}]},
    ],
}  # fmt: skip


def operation(op: str, path: str, **more: Any) -> PatchOperation:
    return msgspec.convert({"op": op, "path": path, **more}, PatchOperation)


def edited(base: Any, *patch: PatchOperation) -> Any:
    """*base* after the patch, as a draft holds it."""
    found = apply_patch(base, patch)
    return keep(base, found, msgspec.json.decode(encode(decode(found)))).document


def pointers(document: Any, pointer: str = "") -> dict[str, Any]:
    """Every condition by its pointer."""
    found: dict[str, Any] = {}
    for index, condition in enumerate(document["conditions"]):
        here = f"{pointer}/conditions/{index}"
        found[here] = condition
        if condition["type"] == "group":
            found |= pointers(condition, here)
    if "exclude" in document:
        found |= pointers(document["exclude"], f"{pointer}/exclude")
    return found


def drawn(draw: Draw, base: Any) -> PatchOperation:
    """An operation that leaves a definition a definition."""
    of = pointers(base)
    path = draw.one(sorted(of))
    parent = path.rpartition("/")[0]
    siblings = [one for one in of if one.rpartition("/")[0] == parent]
    choices = [
        operation("replace", path, value=draw.leaf()),
        operation("add", f"{parent}/{draw.one(range(len(siblings) + 1))}", value=draw.leaf()),
        operation("add", f"{parent}/-", value=draw.leaf()),
        operation("replace", "/logic", value=draw.one(["AND", "OR"])),
        operation("add", "/exclude", value={"logic": "OR", "conditions": [draw.leaf()]}),
        operation("move", draw.one(siblings), **{"from": path}),
    ]
    group = of.get(parent.removesuffix("/conditions"), {})
    if len(siblings) > group.get("at_least", 1):
        choices.append(operation("remove", path))
    if "exclude" in base:
        choices.append(operation("remove", "/exclude"))
    return draw.one(choices)


def is_touched(pointer: str, one: PatchOperation) -> bool:
    """Whether the operation names the condition, something in it, or what it stands in."""
    if one.op == "add" and one.path != "/exclude":  # what stood there moves on
        return one.path.startswith(f"{pointer}/")
    paths = [one.path] if one.op != "move" else []  # a moved condition is the same elsewhere
    parents = [one.path.rpartition("/")[0]] if one.op == "move" else []
    return any(f"{pointer}/".startswith(f"{path}/") or path.startswith(f"{pointer}/") for path in paths) or any(
        f"{path}/".startswith(f"{pointer}/") for path in parents
    )


@given(seed=st.integers(0, 2**32))
def test_what_a_patch_does_not_touch_keeps_its_bytes(seed: int):
    draw = Draw(seed, WORLD)
    base = draw.definition()
    for _ in range(draw.one([1, 2, 5])):
        one = drawn(draw, base)
        untouched = Counter(
            msgspec.json.encode(condition)
            for pointer, condition in pointers(base).items()
            if not is_touched(pointer, one)
        )

        after = edited(base, one)

        assert not untouched - Counter(map(msgspec.json.encode, conditions(after)))
        assert encode(decode(after)) == encode(decode(apply_patch(base, [one])))
        assert jsonpatch.apply_patch(base, list(difference(base, after))) == after
        base = after


def test_a_group_that_counts_is_left_with_as_many_conditions_as_it_asks_for():
    trait = {"type": "user_property", "property": "a", "operator": "is_set"}
    counted = {"type": "group", "logic": "AT_LEAST", "at_least": 2, "conditions": [trait, trait, trait]}
    base = {"logic": "AND", "conditions": [counted]}
    one_less = edited(base, operation("remove", "/conditions/0/conditions/0"))
    with pytest.raises(InvalidDefinition) as refused:
        edited(one_less, operation("remove", "/conditions/0/conditions/0"))
    assert [(one.pointer, one.code) for one in refused.value.findings] == [("/conditions/0/at_least", "out_of_range")]


@given(seed=st.integers(0, 2**32))
def test_the_difference_of_any_two_definitions_leads_from_one_to_the_other(seed: int):
    draw = Draw(seed, WORLD)
    one, other = draw.definition(), draw.definition()

    assert jsonpatch.apply_patch(one, list(difference(one, other))) == other


def test_a_changed_condition_is_written_as_the_server_writes_it_and_the_others_as_they_stood():
    after = edited(BASE, operation("replace", "/conditions/0/value", value=5))

    assert after["conditions"][0] == {"type": "event_count", "event_type": "order", "value": 5}
    assert msgspec.json.encode(after["conditions"][1]) == msgspec.json.encode(BASE["conditions"][1])
    assert BASE["conditions"][0]["value"] == 1


@pytest.mark.parametrize(
    ("patch", "pointer", "near"),
    [
        ([operation("replace", "/conditions/7/value", value=5)], "/patch/0/path", "/conditions/0/value"),
        ([operation("remove", "/conditions/1"), operation("remove", "/conditions/1")], "/patch/1/path", "/conditions/-"),
        ([operation("remove", "/logic/0")], "/patch/0/path", "/logic"),
        ([operation("add", "/conditions/x", value={})], "/patch/0/path", "/conditions/-"),
        ([operation("move", "/conditions/0", **{"from": "/conditions/9"})], "/patch/0/from", "/conditions/-"),
        ([operation("move", "/conditions/0/value/deep", **{"from": "/logic"})], "/patch/0/path", "/conditions/0/value"),
        ([operation("add", "conditions", value={})], "/patch/0/path", "/conditions"),
        ([operation("add", "/conditions/-")], "/patch/0", None),
        ([operation("move", "/conditions/-")], "/patch/0", None),
        ([operation("replace", "", value={})], "/patch/0/path", None),
        ([operation("remove", "")], "/patch/0/path", None),
    ],
)  # fmt: skip
def test_an_operation_that_does_not_fit_is_named_with_the_paths_there_are(patch, pointer, near):
    with pytest.raises(InvalidInput) as caught:
        apply_patch(BASE, patch)

    assert caught.value.code == "invalid_patch"
    assert caught.value.findings[0].pointer == pointer
    assert near is None or near in caught.value.findings[0].suggestions


@given(
    patch=st.lists(
        st.builds(
            PatchOperation,
            op=st.sampled_from(["add", "remove", "replace", "move"]),
            path=st.sampled_from(["/conditions", "/conditions/0", "/conditions/1/conditions/0", "/logic", "/~2", "//", "/exclude/~1"])
            | st.text(max_size=8),
            value=st.recursive(st.none() | st.booleans() | st.text(max_size=3) | st.integers(), st.lists, max_leaves=3),
            from_=st.sampled_from(["/conditions/0", "/logic", "", "/a"]),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_any_patch_gives_a_document_or_an_error_of_ours(patch):
    try:
        after = apply_patch(BASE, patch)
        decode(after)
    except (InvalidInput, InvalidDefinition):
        return
    assert keep(BASE, after, msgspec.json.decode(encode(decode(after))))
