"""Random definitions under edits: what the sentence does not name keeps its bytes and its order, and nothing is ever raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import jsonpatch
import msgspec
import pytest

from segment_copilot.english.edits.drafted import Drafted
from segment_copilot.english.edits.following import read_edit
from segment_copilot.english.edits.revising import Revise
from segment_copilot.english.edits.spots import spots
from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Context
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import decode
from tests.support.english.catalogs import AS_OF, DEMO
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

Json = Mapping[str, Any]

WORLD = world(AS_OFS[:1], ZONES[:2])
TOOLS = frozenset({"revise_segment", "propose_segment", "ask_user", "preview_segment"})
CONTEXT = Context(Index(DEMO), AS_OF, DEMO.timezone, TOOLS)


def revised(definition: Json, text: str) -> dict[str, Any] | None:
    """The definition after the edit, by its patch; None where it is refused or asked about."""
    plan = read_edit(text, Drafted(definition, "Mine", known=True), CONTEXT)
    if not isinstance(plan, Revise):
        return None
    made = jsonpatch.apply_patch(definition, [dict(one) for one in plan.operations])
    assert made == plan.definition
    return made


def leaves(definition: Json, *, excluded: bool = False) -> list[bytes]:
    """The bytes of every condition, in order."""
    return [msgspec.json.encode(spot.node) for spot in spots(definition) if spot.whole and spot.excluded == excluded]


def _one_gone(before: list[bytes], after: list[bytes], place: int) -> bool:
    return after == [*before[: place - 1], *before[place:]]


def _one_changed(before: list[bytes], after: list[bytes], place: int) -> bool:
    return len(before) == len(after) and all(
        one == two for at, (one, two) in enumerate(zip(before, after, strict=True), 1) if at != place
    )


def _kept_with_more(before: list[bytes], after: list[bytes], place: int) -> bool:
    return after[: len(before)] == before and len(after) == len(before) + 1 and place > 0


TEMPLATES: tuple[tuple[str, Callable[[list[bytes], list[bytes], int], bool]], ...] = (
    ("remove condition {}", _one_gone),
    ("drop condition {}, the rest stays", _one_gone),
    ("set condition {} to 7", _one_changed),
    ("make condition {} at least 4", _one_changed),
    ("set the window of condition {} to 45 days", _one_changed),
    ("flip condition {}", _one_changed),
    ("double the number of condition {}", _one_changed),
    ("and in Spain", _kept_with_more),
    ("who also opened an email in the last week", _kept_with_more),
)


@pytest.mark.parametrize("seed", range(8))
def test_only_what_is_named_changes(seed: int) -> None:
    draw = Draw(seed, WORLD)
    done = 0
    for _ in range(30):
        definition = cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(draw.definition((1, 2)))))
        text, holds = draw.one(TEMPLATES)
        before = leaves(definition)
        place = draw.one(range(1, len(before) + 1))
        kept = msgspec.json.encode(definition)
        after = revised(definition, text.format(place))
        assert msgspec.json.encode(definition) == kept
        if after is None:
            continue
        done += 1
        assert holds(before, leaves(after), place), (text.format(place), definition, after)
        assert leaves(after, excluded=True) == leaves(definition, excluded=True)
        assert {name: after.get(name) for name in ("timezone",)} == {
            name: definition.get(name) for name in ("timezone",)
        }
    assert done > 10  # most of the thirty


@pytest.mark.parametrize("seed", range(4))
def test_people_left_out_leave_the_rest_alone(seed: int) -> None:
    draw = Draw(seed, WORLD)
    for _ in range(30):
        definition = msgspec.json.decode(msgspec.json.encode(draw.definition((7, 8))))
        after = revised(definition, "also exclude staff")
        assert after is not None
        assert after["conditions"] == definition["conditions"]
        assert leaves(after, excluded=True)[:-1] == leaves(definition, excluded=True)
        decode(after)


SENTENCES = (
    "make it 5", "60 days", "in Spain", "or Germany too", "exclude staff", "drop the country", "double it", "any of these", "remove the last condition", "undo",
    "only shoes", "at least 3", "use orders instead of visits", "remove the exclusion", "keep only the first condition", "or never", "lower it by 1", "this month",
    "change the views to 4", "not in Spain", "include staff", "call it Foo", "without any time limit", "more than $100", "who never ordered", "require all", "flip the first condition",
    "how many of them are in Spain?", "how many with 5?", "add 10 days", "twice as many", "drop everything except the first condition", "no restriction on status", "a instead of b",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_no_definition_and_no_sentence_raises(seed: int) -> None:
    draw = Draw(seed, WORLD)
    for _ in range(40):
        definition = msgspec.json.decode(msgspec.json.encode(draw.definition((1, 2))))
        after = revised(definition, draw.one(SENTENCES))
        if after is not None:
            _decodes(definition, after)


def _decodes(before: Json, after: Json) -> None:
    """What could be read can still be read."""
    try:
        decode(before)
    except InvalidDefinition:
        return
    decode(after)
