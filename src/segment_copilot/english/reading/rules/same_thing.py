"""Rules of steps about one and the same thing: "viewed a product, then added the same product to the cart"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from msgspec import UNSET, structs

from segment_copilot.english.linking.names import Place, concept
from segment_copilot.english.reading.anchors import Anchors, mask
from segment_copilot.english.reading.meanings import Clause, Reading, Tree, clauses, replaced
from segment_copilot.english.reading.rules.ordering import then
from segment_copilot.english.reading.rules.sharing import Between, Rule, both
from segment_copilot.english.words.stems import stem
from segment_copilot.language import EventSequence, Step
from segment_copilot.language.nodes import PropertyTest

_JOINTS: Final = frozenset({"then", "after", "before", "within_of", "and", "comma", "but", "stop", "soft"})
_IDENTITY: Final = frozenset(concept(stem(word)) for word in ("id", "code", "sku", "key", "number", "name"))
_LONGEST: Final = 3  # words that name a field


def _same_thing(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Signed up for a newsletter, then unsubscribed from the same newsletter; clicked, after opening the same campaign."""
    for at, token in enumerate(found.tokens):
        word = mask(at, at + 1)
        if token.lower != "same" or not word & (one.left | two.left):
            continue
        for made in then(one, two, between, found):
            for chosen, tree in _with_same(made.tree, found, at):
                words = word | mask(at + 1, at + 1 + chosen[1])
                features = {**made.features, "same_thing": 1.0, f"same_thing:{chosen[0]}": 1.0}
                features["left:word"] = features.get("left:word", 0.0) - float((words & made.left).bit_count())
                yield both(one, two, features, tree=tree, left=made.left & ~words, pronoun=made.pronoun & ~words)


def _with_same(tree: Tree | None, found: Anchors, at: int) -> Iterator[tuple[tuple[str, int], Tree]]:
    """Yield the tree with the field that is named behind "same" bound in its last sequence, how it is named, and by how many words."""
    part = next((one for one in reversed(clauses(tree)) if isinstance(one.condition, EventSequence)), None)
    if part is None or tree is None:
        return
    node = cast("EventSequence", part.condition)
    events = {step if isinstance(step, str) else step.event_type for step in node.events}
    if node.same is not UNSET or not all(isinstance(event, str) for event in events):
        return
    for size in range(min(_LONGEST, len(found.tokens) - at - 1), 0, -1):
        said = tuple(concept(token.stem) for token in found.tokens[at + 1 : at + 1 + size])
        named = {(place.path, how) for event in events for place, how in _named(found, str(event), said)}
        shared = sorted(
            (how, path) for path, how in named if all(found.names.has(str(event), {path}) for event in events)
        )
        for how, path in shared:
            used = part.used | mask(at, at + 1 + size)
            steps = [_without_is_set(step, path) for step in node.events]
            bound: Clause = structs.replace(part, condition=structs.replace(node, events=steps, same=[path]), used=used)
            yield (how, size), replaced(tree, part, bound)
        if shared:
            return


def _without_is_set(step: str | Step, path: str) -> str | Step:
    """Return a step without the test that a field is there, which is what "the same" asks of every step."""
    if isinstance(step, str) or step.where is UNSET:
        return step
    where = [
        test
        for test in step.where
        if not (isinstance(test, PropertyTest) and (test.property, test.operator) == (path, "is_set"))
    ]
    bare = not where and step.within is UNSET and step.at is UNSET and isinstance(step.event_type, str)
    return cast("str", step.event_type) if bare else structs.replace(step, where=where or UNSET)


def _named(found: Anchors, event: str, said: tuple[str, ...]) -> Iterator[tuple[Place, str]]:
    """Yield the fields of an event type that words name, whole or but for what makes it an id: "product" for product_id."""
    for place in found.names.places:
        if place.event != event:
            continue
        words = tuple(concept(word) for word in place.words)
        if words == said:
            yield place, "name"
        elif tuple(word for word in words if word not in _IDENTITY) == said:
            yield place, "thing"


RULES: Final = (Rule("same_thing", _JOINTS, _same_thing),)
"""Every way to say that steps are about one thing."""
