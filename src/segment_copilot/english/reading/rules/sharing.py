"""Shows what rules that join two parts look at: what stands between them, what one lacks, and the window that both may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec import Struct, structs

from segment_copilot.english.reading.anchors import Anchors, WindowAnchor
from segment_copilot.english.reading.meanings import (
    Clause,
    Features,
    Reading,
    Tree,
    changed,
    clauses,
    last_event,
    timed,
)
from segment_copilot.english.times.windows import Window as Said
from segment_copilot.language import EventCount, SegmentMembership

ANDS: Final = frozenset({"and", "but", "comma", "rel", "soft", "stop", "colon", "dash", "without"})


class Between(Struct, frozen=True):
    """Holds what stands between two parts: the kinds of its joints, and the one that counts most."""

    main: str
    kinds: frozenset[str]
    window: WindowAnchor | None = None
    used: int = 0
    front: str = ""  # what stands before the first of them, where the sentence begins with it


class Rule(Struct, frozen=True):
    """One row of the table: a name, the joints that it takes (none: any), and the readings that it gives of two parts."""

    name: str
    joints: frozenset[str]
    make: Callable[[Reading, Reading, Between, Anchors], Iterator[Reading]]


def both(one: Reading, two: Reading, features: Features, **fields: Any) -> Reading:
    """Return a reading of two parts: what each leaves over, both leave over."""
    kept: dict[str, Any] = {
        "left": one.left | two.left,
        "pronoun": one.pronoun | two.pronoun,
        "label": one.label | two.label,
        "notes": (*one.notes, *two.notes),
    }
    return Reading(features, 0.0, parts=(one, two), **{**kept, **fields})


def polarity(tree: Tree | None, found: Anchors, *, last: bool) -> str:
    """Return P where the last (or first) clause says that something is so, N where it says not, E where it says never."""
    parts = clauses(tree)
    if not parts:
        return "-"
    part = parts[-1 if last else 0]
    if part.positive:
        return "P"
    return "E" if part.used & found.ever else "N"


def leans(one: Reading) -> bool:
    """Return whether a part means nothing without the one beside it."""
    if one.window is not None or one.fragment is not None or one.ordered:
        return True
    return one.label != 0 and one.tree is None


def agreement(one: Reading, two: Reading, found: Anchors, name: str) -> dict[str, float]:
    """Say whether two parts are of one thing, as in "opened or clicked an email", or both of segments."""
    if segments := both_segments(one, two):
        return segments
    left, right = last_event(one.tree), next((part for part in clauses(two.tree) if part.event), None)
    if left is None or right is None:
        return {}
    if left.event == right.event:
        return {f"same_event:{name}": 1}
    mine, other = found.names.things(left.event), found.names.things(right.event)
    return {f"agree:{name}": 1} if mine & other else {}


def both_segments(one: Reading, two: Reading) -> dict[str, float]:
    """Say whether one of two parts is of a segment, or both are; nothing where neither is."""
    parts = (*clauses(one.tree)[-1:], *clauses(two.tree)[:1])
    segments = sum(isinstance(part.condition, SegmentMembership) for part in parts)
    return {f"{'both' if segments == len(parts) else 'one'}:segments": 1} if segments else {}


def recalled(one: Reading, two: Reading, found: Anchors) -> dict[str, float]:
    """Say whether the thing that an event is about was spoken of before, where its own words do not: "emails … opened one"."""
    right = next((part for part in clauses(two.tree) if part.event), None)
    things = found.names.things(right.event) if right is not None else frozenset[str]()
    if right is None or not things or not right.used or things & found.concepts(right.used):
        return {}
    before = union_of(clauses(one.tree)) | union_of(clauses(one.exclude))
    return {"object:recalled" if things & found.concepts(before) else "object:nowhere": 1}


def union_of(parts: Iterable[Clause]) -> int:
    """Return the positions of all words that made some clauses."""
    united = 0
    for part in parts:
        united |= part.used
    return united


def shared(
    one: Tree | None, two: Tree | None, main: str, found: Anchors
) -> Iterator[tuple[Tree | None, Tree | None, Features]]:
    """Yield both parts as they are, and with the window of one for the other too where that has none."""
    left, right = clauses(one), clauses(two)
    pair = polarity(one, found, last=True) + polarity(two, found, last=False)
    before = next(
        (part.window for part in reversed(left) if part.window is not None and part.window.kind != "same"), None
    )
    same = next((part for part in right if _is_same(part.window, before)), None)
    if same is not None and before is not None and two is not None:
        yield one, changed(two, lambda part: again(part, before)), {"share:same": 1}
        return
    after = right[-1].window if right and right[-1].timed else None
    may_left = one is not None and after is not None and after.kind != "ever" and left and untimed(left[-1])
    may_right = (
        two is not None
        and left
        and left[-1].timed
        and left[-1].window is not None
        and left[-1].window.kind != "ever"
        and right
        and untimed(right[0])
    )
    yield one, two, _sharing("none", main, pair) if may_left or may_right else {}
    if may_left and one is not None and after is not None:
        yield changed(one, lambda part: timed(part, after)), two, _sharing("left", main, pair)
    if may_right and two is not None and left[-1].window is not None:
        given = left[-1].window
        yield one, changed(two, lambda part: timed(part, given)), _sharing("right", main, pair)


def _sharing(which: str, main: str, pair: str) -> Features:
    return {f"share:{which}:{pair}": 1, f"share:{which}:{main}:{pair}": 1}


def _is_same(said: Said | None, before: Said | None) -> bool:
    """Return whether a window points back to the one before: "in that time", "in the same 7 days" as those spoken of."""
    if said is None or said.kind != "same":
        return False
    return said.length is None or (before is not None and before.kind == "last" and said.length == before.length)


def again(part: Clause, before: Said) -> Clause:
    """Return the clause with the window that "in that time" points back to."""
    if not _is_same(part.window, before):
        return part
    return timed(structs.replace(part, window=None), before)


def untimed(part: Clause) -> bool:
    """Return whether a clause counts events of all history so far."""
    return bool(part.event) and not part.timed and isinstance(part.condition, EventCount)
