"""Tells in words how one definition became another: which conditions were added, removed, changed or moved.

Conditions have no names, so they are matched: the same one in its own set, then the same one anywhere (it moved), then
in its own set one about the same thing (it changed). A set is what joins conditions; groups are matched by what they have
in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.documents import parse
from segment_copilot.language.describe import describe_condition
from segment_copilot.language.nodes import Condition, Definition, Exclusion, Group

Kind = Literal["added", "removed", "changed", "moved"]
_LOGIC: Final = {"AND": "all of these hold", "OR": "any of these holds"}
_NEGATED: Final = {False: "who are among these", True: "who are not among these"}


class Change(Struct, frozen=True, omit_defaults=True, rename={"from_": "from"}):
    """One thing that is not as it was.

    *pointer* leads into the newer definition; of what was removed, into the older. *from* is where it was before.
    """

    pointer: str
    change: Kind
    from_: str | UnsetType = UNSET
    before_words: str | UnsetType = UNSET
    after_words: str | UnsetType = UNSET


def changes(before: Definition, after: Definition, names: Mapping[int, str]) -> tuple[Change, ...]:
    """Return what changed, by its place; *names* are those of the segments that conditions refer to."""
    found = _Matching(names).of(before, after)
    return tuple(sorted(found, key=lambda change: _place(change.pointer)))


def _place(pointer: str) -> list[tuple[int, str]]:
    return [(int(step), "") if step.isdigit() else (-1, step) for step in parse(pointer)]


class _Part(Struct, frozen=True):
    """A condition in its place."""

    pointer: str
    condition: Condition
    text: bytes


class _Set(Struct, frozen=True):
    """A definition, its exclusion, or a group, in its place, with what it joins."""

    pointer: str
    node: Definition | Exclusion | Group
    leaves: tuple[_Part, ...]
    groups: tuple[_Set, ...]
    inside: Counter[bytes]
    """The leaves in it, however deep."""


def _set(pointer: str, node: Definition | Exclusion | Group) -> _Set:
    leaves, groups = list[_Part](), list[_Set]()
    for index, condition in enumerate(node.conditions):
        here = f"{pointer}/conditions/{index}"
        if isinstance(condition, Group):
            groups.append(_set(here, condition))
        else:
            leaves.append(_Part(here, condition, msgspec.json.encode(condition)))
    inside = sum((group.inside for group in groups), Counter(leaf.text for leaf in leaves))
    return _Set(pointer, node, tuple(leaves), tuple(groups), inside)


_Pair = tuple[_Set, _Set]
_Likeness = Callable[[_Part], Hashable]


class _Matching:
    """Matches the parts of two definitions, and tells what is not as it was."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names

    def of(self, before: Definition, after: Definition) -> Iterator[Change]:
        if before.timezone != after.timezone:
            kind: Kind = "added" if not before.timezone else "changed" if after.timezone else "removed"
            yield Change("/timezone", kind, UNSET, before.timezone, after.timezone)
        pairs = list(_pairs(_set("", before), _set("", after)))
        match before.exclude or None, after.exclude or None:
            case Exclusion() as old, Exclusion() as new:
                pairs += _pairs(_set("/exclude", old), _set("/exclude", new))
            case Exclusion() as old, None:
                yield Change("/exclude", "removed", before_words=self._words(_as_group(old)))
            case None, Exclusion() as new:
                yield Change("/exclude", "added", after_words=self._words(_as_group(new)))
            case _:
                pass
        yield from self._of_pairs(pairs)

    def _of_pairs(self, pairs: list[_Pair]) -> Iterator[Change]:
        """Tell what changed in sets that are one set, before and after, and in the groups of them that are not."""
        gone, new = dict[str, list[_Part]](), dict[str, list[_Part]]()
        for old, now in pairs:
            yield from _of_fields(old, now)
            yield from self._in_order(old, now, pairs)
            left = Counter(leaf.text for leaf in now.leaves)
            gone[old.pointer] = _without(old.leaves, left)
            new[now.pointer] = _without(now.leaves, Counter(leaf.text for leaf in old.leaves))
        lost, made = _unmatched(pairs, 0), _unmatched(pairs, 1)
        for group in lost:
            yield Change(group.pointer, "removed", before_words=self._words(group.node))
        for group in made:
            yield Change(group.pointer, "added", after_words=self._words(group.node))
        # What is in a group that is new (or gone) is told with it, unless it is somewhere before (or after) too.
        inside_lost = [leaf for group in lost for leaf in _all_leaves(group)]
        inside_made = [leaf for group in made for leaf in _all_leaves(group)]
        all_gone = [*(leaf for leaves in gone.values() for leaf in leaves), *inside_lost]
        all_new = [*(leaf for leaves in new.values() for leaf in leaves), *inside_made]
        moved = _match(all_gone, all_new, lambda part: part.text)
        for old_leaf, new_leaf in moved:
            words = self._words(new_leaf.condition)
            yield Change(new_leaf.pointer, "moved", old_leaf.pointer, words, words)
        settled = {leaf.pointer for leaf, _ in moved}, {leaf.pointer for _, leaf in moved}
        for old, now in pairs:
            olds = [leaf for leaf in gone[old.pointer] if leaf.pointer not in settled[0]]
            news = [leaf for leaf in new[now.pointer] if leaf.pointer not in settled[1]]
            yield from self._in_place_of_one_another(olds, news)

    def _in_order(self, old: _Set, now: _Set, pairs: list[_Pair]) -> Iterator[Change]:
        """Tell which parts of a set have another order than they had."""
        partner = {before.pointer: after.pointer for before, after in pairs}
        olds = _tokens(old, lambda group: partner.get(group.pointer))
        news = _tokens(now, lambda group: group.pointer)
        matcher = SequenceMatcher(None, [token for token, _ in olds], [token for token, _ in news], autojunk=False)
        blocks = matcher.get_matching_blocks()
        left = [olds[i] for i in _outside(len(olds), [(block.a, block.size) for block in blocks])]
        right = [news[i] for i in _outside(len(news), [(block.b, block.size) for block in blocks])]
        for (_, pointer), (_, there) in _match(left, right, lambda one: one[0]):
            condition = _at(now, there)
            words = self._words(condition)
            yield Change(there, "moved", pointer, words, words)

    def _in_place_of_one_another(self, gone: list[_Part], new: list[_Part]) -> Iterator[Change]:
        for likeness in (_subject, _event, _shape):
            for old, now in _match(gone, new, likeness):
                gone.remove(old)
                new.remove(now)
                words = self._words(old.condition), self._words(now.condition)
                yield Change(now.pointer, "changed", old.pointer, *words)
        for part in gone:
            yield Change(part.pointer, "removed", before_words=self._words(part.condition))
        for part in new:
            yield Change(part.pointer, "added", after_words=self._words(part.condition))

    def _words(self, condition: Any) -> str:
        return describe_condition(condition, self._names)


def _pairs(old: _Set, now: _Set) -> Iterator[_Pair]:
    """Yield the two sets, and the groups in them that are one group: those alike, and at last one that is left of each."""
    yield old, now
    olds, news = dict(enumerate(old.groups)), dict(enumerate(now.groups))
    for first, second in _most_alike(old.groups, now.groups):
        if first in olds and second in news:
            yield from _pairs(olds.pop(first), news.pop(second))
    if len(olds) == len(news) == 1:
        yield from _pairs(*olds.values(), *news.values())


def _most_alike(olds: Sequence[_Set], news: Sequence[_Set]) -> list[tuple[int, int]]:
    """Return which groups have leaves in common, those first that have the most; of many as many, the first in order."""
    holding = dict[bytes, list[int]]()
    for index, old in enumerate(olds):
        for text in old.inside:
            holding.setdefault(text, []).append(index)
    shared = Counter[tuple[int, int]]()
    for second, new in enumerate(news):
        for text, count in new.inside.items():
            for first in holding.get(text, ()):
                shared[first, second] += min(count, olds[first].inside[text])
    return sorted(shared, key=lambda pair: (-shared[pair], pair))


def _of_fields(old: _Set, now: _Set) -> Iterator[Change]:
    """Tell how the conditions of a set are joined now."""
    joined = _joined(old.node), _joined(now.node)
    if joined[0] != joined[1]:
        field = "logic" if old.node.logic != now.node.logic else "at_least"
        yield Change(f"{now.pointer}/{field}", "changed", f"{old.pointer}/{field}", *joined)
    if isinstance(old.node, Group) and isinstance(now.node, Group) and old.node.negate != now.node.negate:
        words = _NEGATED[old.node.negate], _NEGATED[now.node.negate]
        yield Change(f"{now.pointer}/negate", "changed", f"{old.pointer}/negate", *words)


def _joined(node: Definition | Exclusion | Group) -> str:
    if isinstance(node, Group) and node.logic == "AT_LEAST":
        return f"at least {node.at_least} of these hold"
    return _LOGIC[node.logic]


def _unmatched(pairs: list[_Pair], side: int) -> list[_Set]:
    """Return the groups of one side's sets that are no group of the other's, without those inside them."""
    matched = {pair[side].pointer for pair in pairs}
    return [group for pair in pairs for group in pair[side].groups if group.pointer not in matched]


def _all_leaves(group: _Set) -> Iterator[_Part]:
    yield from group.leaves
    for inner in group.groups:
        yield from _all_leaves(inner)


def _without(leaves: tuple[_Part, ...], others: Counter[bytes]) -> list[_Part]:
    """Return the leaves that have no partner of the same text among *others*."""
    left, found = Counter(others), list[_Part]()
    for leaf in leaves:
        if left[leaf.text]:
            left[leaf.text] -= 1
        else:
            found.append(leaf)
    return found


def _match(olds: list[Any], news: list[Any], likeness: Callable[[Any], Hashable]) -> list[tuple[Any, Any]]:
    """Return pairs of what is alike, each once, in order; what has a likeness of None is like nothing."""
    waiting = dict[Hashable, list[Any]]()
    for old in olds:
        waiting.setdefault(likeness(old), []).append(old)
    pairs = list[tuple[Any, Any]]()
    for new in news:
        key = likeness(new)
        if key is not None and waiting.get(key):
            pairs.append((waiting[key].pop(0), new))
    return pairs


def _tokens(of: _Set, group_token: Callable[[_Set], str | None]) -> list[tuple[Hashable, str]]:
    """Return what stands in a set in its order: of a leaf its text, of a group which one it is."""
    tokens: list[tuple[Hashable, str]] = [(leaf.text, leaf.pointer) for leaf in of.leaves]
    tokens += [(group_token(group), group.pointer) for group in of.groups]
    return sorted(tokens, key=lambda token: _place(token[1]))


def _outside(length: int, blocks: list[tuple[int, int]]) -> list[int]:
    inside = {index for start, size in blocks for index in range(start, start + size)}
    return [index for index in range(length) if index not in inside]


def _at(of: _Set, pointer: str) -> Condition:
    return of.node.conditions[int(pointer.rpartition("/")[2])]


def _as_group(exclusion: Exclusion) -> Group:
    return Group(logic=exclusion.logic, conditions=exclusion.conditions)


# When one condition took the place of another


def _subject(part: _Part) -> Hashable:
    """Return what a condition of its type is about."""
    node = msgspec.to_builtins(part.condition)
    about = [
        node.get(name)
        for name in (
            "type",
            "event_type",
            "property",
            "events",
            "segment_id",
            "segment_ids",
            "salt",
            "left",
            "right",
            "by",
        )
    ]
    return msgspec.json.encode(about)


def _event(part: _Part) -> Hashable:
    """Return the event that a condition of any type is about."""
    found = getattr(part.condition, "event_type", None)
    return msgspec.json.encode(found) if found is not None else None


def _shape(part: _Part) -> Hashable:
    """Return what a condition says, whatever it is about."""
    node = msgspec.to_builtins(part.condition)
    return msgspec.json.encode({name: value for name, value in node.items() if name not in {"event_type", "property"}})
