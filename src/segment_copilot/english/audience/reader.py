"""Pieces to conditions, in order; a piece may lean on the one before: its verb, its negation, its event, its window."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache, partial

from msgspec import structs

from segment_copilot.english.audience import recency
from segment_copilot.english.audience.chunks import Chunk, sort
from segment_copilot.english.audience.clauses import Reading, event_leaf, read_clause
from segment_copilot.english.audience.filters import another_filter, attach
from segment_copilot.english.audience.joining import Joined, fold, soon_after
from segment_copilot.english.audience.leaning import Candidate, Sorting, carried, pronoun, raised, score
from segment_copilot.english.audience.leaves import Group, Leaf, Node, Problem, joined, leaves
from segment_copilot.english.audience.pieces import Piece
from segment_copilot.english.audience.refusals import unknown_value
from segment_copilot.english.audience.remarks import is_remark
from segment_copilot.english.audience.sharing import only_length, side_by_side
from segment_copilot.english.audience.splitting import split
from segment_copilot.english.audience.traits import read_traits, trait_leaf
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import SURE
from segment_copilot.english.linking.values import UnknownValue, mention, tests
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.times.windows import Window, since
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.lexicon import PEOPLE, stems


def read_pieces(
    pieces: tuple[Piece, ...], index: Index, today: date, *, first: Sequence[Joined] = ()
) -> tuple[list[Joined], tuple[str, ...]]:
    """One node or problem per piece, after *first*, and notes on how they share windows."""
    reader = _Reader(index, today, list(first))
    for at, piece in enumerate(pieces):
        reader.take(piece, pieces[at + 1 :])
    return reader.finished()


_ORDERING = {"then", "before", "after"}
_OF_PEOPLE = {"are", "is", "under", "over", "above", "below", "aged", "between"}
"""What stands in front of an age: "they are under 35", "exclude people under 21"."""


class _Reader:
    def __init__(self, index: Index, today: date, read: list[Joined]) -> None:
        self._index = index
        self._today = today
        self._sort: Sorting = cache(partial(sort, today=today))
        self._read = read
        self._notes: list[str] = []
        self._shared: Window | None = None
        self._ahead: Window | None = None  # of a clause that it opened: it holds for those joined to it

    def take(self, piece: Piece, following: tuple[Piece, ...]) -> None:
        """Read one piece."""
        if piece.inner and (self._names_trait(piece) or all(is_remark(self._sort(one.tokens)) for one in piece.inner)):
            return
        if piece.inner:
            self._read.append(Joined(piece.joint, self._inner(piece), weak=piece.weak))
            return
        chunk = self._since(self._same_period(sort(_without_subject(piece.tokens), self._today)))
        if _empty(chunk) or is_remark(chunk):
            self._exactly(chunk)
            return
        if (span := only_length(piece.tokens)) is not None:
            self._spread(span)
        elif chunk.words or chunk.quantities or chunk.negated:
            self._clause(chunk, piece, following)
        elif chunk.window:
            self._spread(chunk.window)

    def _exactly(self, chunk: Chunk) -> None:
        """Of "a single order, not more": the number before it is exact."""
        item = self._read[-1] if self._read else None
        if item is None or not isinstance(item.node, Leaf) or item.chunk is None or chunk.tokens[-1].lower != "more":
            return
        single = any(token.lower == "single" for token in item.chunk.tokens)
        if item.node.condition["type"] == "event_count" and (single or any(one.bare for one in item.chunk.quantities)):
            notes = tuple(note for note in item.node.notes if "at least" not in note)
            node = structs.replace(item.node, condition={**item.node.condition, "operator": "eq"}, notes=notes)
            self._read[-1] = structs.replace(item, node=node)

    def _names_trait(self, piece: Piece) -> bool:
        """Whether a parenthesis only names the trait that stands before it: "gold or platinum (loyalty tier)"."""
        words = [token for inner in piece.inner for token in inner.tokens if token.kind == "word"]
        leaf = _last_leaf(self._read[-1]) if self._read else None
        path = leaf.condition.get("property", "") if leaf is not None else ""
        return any(
            field.path == path and mention(words, 0, field, set()) == (len(words), 1.0) for field in self._index.traits
        )

    def _same_period(self, chunk: Chunk) -> Chunk:
        """Of "in that period": the time span of a clause before."""
        if not any(item.kind == "same" for item in chunk.windows):
            return chunk
        spans = [item.chunk.window for item in self._read if item.chunk and item.chunk.window]
        if not spans and self._read:
            return structs.replace(
                chunk, windows=tuple(item for item in chunk.windows if item.kind != "same"), perfect=False
            )
        windows = tuple(spans[-1] if item.kind == "same" and spans else item for item in chunk.windows)
        return structs.replace(chunk, windows=windows, perfect=False)

    def _since(self, chunk: Chunk) -> Chunk:
        """Of "ordered 60 to 90 days ago and not since": the time after that of a clause before."""
        if not chunk.tokens or chunk.tokens[-1].lower != "since" or chunk.windows:
            return chunk
        spans = [item.chunk.window for item in self._read if item.chunk and item.chunk.window]
        window = since(spans[-1]) if spans else None
        if window is None:
            return chunk
        whole = sort(chunk.tokens[:-1], self._today)
        items = tuple(item for item in whole.items if not (isinstance(item, Quantity) and item.text == "again"))
        return structs.replace(whole, items=items, windows=(window,), perfect=False)

    def finished(self) -> tuple[list[Joined], tuple[str, ...]]:
        """Everything read; a window that stood in front is on each clause that has none."""
        self._share()
        if self._shared and self._read and self._read[-1].joint in _ORDERING:
            shared, self._shared = self._shared, None
            self._spread(shared)
        if self._shared:
            windowed = [structs.replace(item, node=_windowed(item.node, self._shared)) for item in self._read]
            if windowed == self._read:
                problem = Problem("unknown", self._shared.text, "there is nothing in the sentence that it could bound")
                windowed.append(Joined("and", problem))
            self._read = windowed
        return self._read, tuple(self._notes)

    def _inner(self, piece: Piece) -> Reading:
        read, notes = read_pieces(piece.inner, self._index, self._today)
        self._notes += notes
        inner = fold(tuple(read))
        return inner.include or (inner.problems or (Problem("unknown", "()", "there is nothing in it"),))[0]

    def _spread(self, window: Window) -> None:
        """A window on its own: in front it holds for all that follows, behind for all before."""
        last = self._read[-1] if self._read else None
        ordered = last is not None and (
            last.joint in _ORDERING or soon_after(self._read[-2] if len(self._read) > 1 else None, last)
        )
        if last is not None and ordered and last.chunk and len(last.chunk.windows) < 2:  # noqa: PLR2004  # how far apart, and when
            self._read[-1] = structs.replace(
                last, chunk=structs.replace(last.chunk, windows=(*last.chunk.windows, window))
            )
            return
        windowed = [structs.replace(item, node=_windowed(item.node, window)) for item in self._read]
        if windowed == self._read or any(isinstance(item.node, Problem) for item in self._read):
            self._shared = window
        else:
            self._read = windowed

    def _clause(self, chunk: Chunk, piece: Piece, following: tuple[Piece, ...]) -> None:
        before = self._read[-1] if self._read else None
        if chunk.only and following and following[0].joint == "but":
            chunk = structs.replace(chunk, only=False)
        whole = attach(before, chunk) or self._whole(before, piece) if before and piece.joint == "with" else None
        if whole is not None:
            self._read[-1] = whole
            return
        if piece.joint == "except":  # "unless they ordered again": once more is once
            items = tuple(item for item in chunk.items if not (isinstance(item, Quantity) and item.text == "again"))
            chunk = structs.replace(chunk, items=items)
        inherits = before is not None and before.chunk is not None and _inherits(chunk, piece, before.chunk, following)
        if inherits and before is not None and before.chunk is not None:
            chunk = structs.replace(chunk, negated=True, never=before.chunk.never, perfect=before.chunk.perfect)
        chunk = self._opened(chunk, piece)
        best = self._best(chunk, piece, before, following)
        if before and best.how == "alone" and (whole := self._filter(before, best, piece)) is not None:
            self._read[-1] = whole
            return
        joint = "and" if inherits else piece.joint
        if best.chunk.window and (inherits or best.how == "carried"):
            self._again(len(self._read) - 1, best.chunk.window)
        if best.how == "carried" and before and before.chunk and not before.chunk.quantities and best.chunk.quantities:
            self._counted_alike(len(self._read) - 1, best.chunk)
        if inherits and isinstance(best.node, Leaf):
            best = structs.replace(best, node=structs.replace(best.node, text=_after_or(best.node.text)))
        if before is not None and (filtered := another_filter(before, best.node, piece.joint)) is not None:
            self._read[-1] = filtered
            return
        if (beside := self._another_value(best, before, piece)) is not None:
            self._read.append(beside)
            best, joint, inherits = structs.replace(best, node=_without_first(best.node)), "and", False
        weak = piece.weak and not (piece.joint == "with" and before is not None and before.apart and not before.tight)
        item = Joined(
            joint, best.node, weak=weak, chunk=best.chunk, distributed=inherits, anew=piece.anew, apart=piece.apart
        )
        tight = best.how == "carried" or (before is not None and _bound(before.node, best))
        self._read.append(structs.replace(item, tight=tight and not inherits))

    def _opened(self, chunk: Chunk, piece: Piece) -> Chunk:
        """Of "in the last 60 days started a trial or viewed /pricing": a time span in front holds for what is joined to it."""
        if piece.weak or piece.joint not in {"and", "or", "comma"}:
            self._ahead = None
        if chunk.windows or self._ahead is None:
            self._ahead = chunk.window if chunk.ahead and chunk.words else self._ahead
            return chunk
        if chunk.never:
            return chunk
        self._notes.append(f"{self._ahead.text!r} is read as holding for {chunk.text!r} too")
        return structs.replace(chunk, windows=(self._ahead,))

    def _another_value(self, best: Candidate, before: Joined | None, piece: Piece) -> Joined | None:
        """Of "from France or the UK aged 18+": the UK stands beside France, and the age beside both."""
        first = best.node.nodes[0] if isinstance(best.node, Group) and best.node.logic == "AND" else None
        leaf = _last_leaf(before)
        if piece.joint not in {"or", "comma"} or not isinstance(first, Leaf) or leaf is None:
            return None
        if not (leaf.condition["type"] == first.condition["type"] == "user_property"):
            return None
        same = leaf.condition["property"] == first.condition["property"]
        return Joined("or", first, chunk=best.chunk, tight=True) if same else None

    def _whole(self, before: Joined, piece: Piece) -> Joined | None:
        """Of "chatted with support": the clause before and this one as one, where together they name an event better."""
        if before.chunk is None or piece.tokens[0].lower == "without":
            return None
        chunk = sort((*before.chunk.tokens, word("with"), *piece.tokens), self._today)
        node = read_clause(chunk, self._index)
        if (
            chunk.quantities
            or not isinstance(node, Leaf)
            or node.link is None
            or node.link.by_property
            or node.link.tests
        ):
            return None
        unsure = isinstance(before.node, Problem) or (score(before.node) < SURE and score(node) > score(before.node))
        return structs.replace(before, node=node, chunk=chunk) if unsure else None

    def _filter(self, before: Joined, best: Candidate, piece: Piece) -> Joined | None:
        """Of "searched but got 0 results": what names only a property of the event before is a filter of it."""
        leaf = before.node
        participle = piece.joint == "comma" and piece.tokens[0].lower.endswith("ing")
        beside = piece.joint in {"and", "but", "relative"} or participle
        if not beside or not isinstance(leaf, Leaf) or leaf.link is None:
            return None
        if best.chunk.never or best.chunk.perfect:
            return None  # "who have never used one" is said of the person, not of what was done
        if participle:
            return attach(before, sort(piece.tokens[1:], self._today))
        by_property = isinstance(best.node, Leaf) and best.node.link is not None and best.node.link.by_property
        same = (
            by_property
            and isinstance(best.node, Leaf)
            and best.node.condition.get("event_type") == leaf.link.event_type
        )
        plain = participle or (
            leaf.condition.get("operator") == "gte"
            and leaf.condition.get("value") == 1
            and "where" not in leaf.condition
        )
        return attach(before, best.chunk) if same and plain else None

    def _best(self, chunk: Chunk, piece: Piece, before: Joined | None, following: tuple[Piece, ...]) -> Candidate:
        leaf = _last_leaf(before)
        told = bool(chunk.window or chunk.quantities or chunk.never)
        if chunk.lead in _OF_PEOPLE and chunk.quantities and (said := read_traits(chunk, self._index)) is not None:
            return Candidate(said, chunk)  # "and they are under 35"
        if not chunk.words and told and leaf is not None and leaf.link is not None:
            return Candidate(_same_event(chunk, leaf), chunk, "carried" if _or_never(chunk, leaf) else "alone")
        if not chunk.words and (counted := raised(chunk, following, self._index, self._sort)) is not None:
            return counted
        best = Candidate(read_clause(chunk, self._index), chunk)
        beside = piece.joint in {"or", "and", "comma"}
        if leaf is not None and beside and (more := _continued(chunk, leaf, self._index)) is not None:
            return Candidate(more, chunk)
        for other in (carried(chunk, leaf, self._index), raised(chunk, following, self._index, self._sort)):
            if other is not None and _better(other, best, leaf):
                best = other
        if best.how == "alone" and (named := pronoun(chunk, before, self._index)) is not None and _surer(named, best):
            return named
        unknown = isinstance(best.node, Problem) and best.node.kind == "unknown"
        if unknown and (halves := split(chunk, self._index, self._today)) is not None:
            return Candidate(halves.node, halves.chunk)
        if beside and leaf is not None and isinstance(best.node, Problem) and _value_like(chunk, leaf):
            fields = [field for field in self._index.traits if field.path == leaf.condition["property"]]
            return Candidate(unknown_value(UnknownValue(fields[0], written(chunk.words), frozenset())), chunk)
        return best

    def _again(self, at: int, window: Window) -> None:
        """Read a clause again with a window that it shares, if it has none of its own."""
        item = self._read[at]
        if item.chunk is None or not isinstance(item.node, Leaf) or item.node.windowed:
            return
        if read_clause(item.chunk, self._index) != item.node:  # it holds more than its own words: a filter of the next
            self._read[at] = structs.replace(item, node=_windowed(item.node, window))
            return
        chunk = structs.replace(item.chunk, windows=(*item.chunk.windows, window))
        self._read[at] = structs.replace(item, node=read_clause(chunk, self._index), chunk=chunk)

    def _counted_alike(self, at: int, chunk: Chunk) -> None:
        """Read a clause again with the number that stands behind the value beside it: "viewed /a or /b twice"."""
        item = self._read[at]
        if item.chunk is not None and isinstance(item.node, Leaf) and not any(one.none for one in chunk.quantities):
            whole = structs.replace(item.chunk, items=(*item.chunk.items, *chunk.quantities))
            self._read[at] = structs.replace(item, node=read_clause(whole, self._index), chunk=whole)

    def _share(self) -> None:
        """Of "viewed a product and added it to the cart in the last week": plain deeds side by side share a window behind them."""
        for at in range(len(self._read) - 1, 0, -1):
            item, before = self._read[at], self._read[at - 1]
            if (
                side_by_side(before, item)
                and not soon_after(before, item)
                and item.chunk
                and item.chunk.window
                and before.chunk
            ):
                self._notes.append(f"{item.chunk.window.text!r} is read as holding for {before.chunk.text!r} too")
                self._again(at - 1, item.chunk.window)


def _without_first(node: Reading) -> Reading:
    return joined("AND", node.nodes[1:]) if isinstance(node, Group) else node


def _surer(named: Candidate, best: Candidate) -> bool:
    return isinstance(best.node, Problem) or (
        not isinstance(named.node, Problem) and score(named.node) > score(best.node)
    )


def _value_like(chunk: Chunk, leaf: Leaf) -> bool:
    """Whether a clause can only be meant as another value of the trait before it: a name and nothing else."""
    named = chunk.words and all(word.text[:1].isupper() for word in chunk.words)
    return (
        bool(named) and leaf.condition["type"] == "user_property" and "value" in leaf.condition and not chunk.quantities
    )


def _continued(chunk: Chunk, leaf: Leaf, index: Index) -> Leaf | None:
    """Another value of the trait that the clause before tested: "loyal or returning"."""
    if leaf.condition["type"] != "user_property" or chunk.windows:
        return None
    fields = [field for field in index.traits if field.path == leaf.condition["property"]]
    nouns = [word for word in chunk.words if any(word.stem in field.words for field in fields)]
    if (
        chunk.words
        and len(nouns) == len(chunk.words)
        and all(one.none for one in chunk.quantities)
        and chunk.quantities
    ):
        condition = {"type": "user_property", "property": leaf.condition["property"], "operator": "is_not_set"}
        return Leaf(condition, chunk.text)
    if chunk.quantities:
        return None
    found, unknown = tests(chunk.items, fields, frozenset())
    words = [item for item in chunk.items if isinstance(item, Token) and item in chunk.words]
    explained = {at for test in found for at in test.used}
    if len(found) != 1 or unknown or any(item in words and at not in explained for at, item in enumerate(chunk.items)):
        return None
    return trait_leaf(found[0], chunk)


def _empty(chunk: Chunk) -> bool:
    """Whether it only says that somebody left ("but left without buying"), which is nothing to test."""
    gone = [word for word in chunk.words if word.stem in stems("leave go bounce exit")]
    return len(gone) == len(chunk.words) > 0 and not chunk.quantities and not chunk.window and not chunk.negated


def _after_or(text: str) -> str:
    return text if text.startswith("nor ") else f"or {text}"


def _or_never(chunk: Chunk, leaf: Leaf) -> bool:
    """Of "haven't visited in 30 days, or never"."""
    return chunk.never and not chunk.window and leaf.condition["type"] == "recency"


def _bound(before: Reading, item: Candidate) -> bool:
    """What binds before anything else: two tests of one trait ("in Berlin or Madrid"), and "or never" of the same event."""
    node = item.node
    if isinstance(before, Group) and before.logic == "AND":
        before = before.nodes[-1]
    if not (isinstance(before, Leaf) and isinstance(node, Leaf)):
        return False
    if _or_never(item.chunk, before):
        return before.condition["event_type"] == node.condition.get("event_type")
    both = before.condition["type"] == node.condition["type"] == "user_property"
    return both and before.condition["property"] == node.condition["property"]


def _better(other: Candidate, best: Candidate, leaf: Leaf | None) -> bool:
    """Whether a leaning reading is to be taken: the one alone fails or is unsure, or this one filters the same event."""
    if isinstance(other.node, Problem):
        return False
    if isinstance(best.node, Problem):
        return True
    filters = isinstance(other.node, Leaf) and other.node.link is not None and bool(other.node.link.tests)
    if (
        other.how == "carried"
        and filters
        and leaf is not None
        and leaf.link is not None
        and isinstance(other.node, Leaf)
    ):
        same = other.node.link is not None and other.node.link.event_type == leaf.link.event_type
        return same and (not _is_trait(best.node) or best.chunk.lead not in _DESCRIBING)
    return score(best.node) < SURE and score(other.node) > score(best.node)


_DESCRIBING = {"in", "from", "on", "are", "is", "aged", "living", "based", "located", "tagged", "at", "with"}


def _is_trait(node: Node) -> bool:
    return isinstance(node, Leaf) and node.condition["type"] in {"user_property", "segment_membership"}


def _last_leaf(before: Joined | None) -> Leaf | None:
    return None if before is None or isinstance(before.node, Problem) else leaves(before.node)[-1]


def _inherits(chunk: Chunk, piece: Piece, before: Chunk, following: tuple[Piece, ...]) -> bool:
    """Whether a "not" before an "or" reaches this clause: "haven't visited or purchased"."""
    if piece.joint == "nor":
        return True
    if any(not (item.none or item.bare) or item.currency for item in chunk.quantities):
        return False  # a comparison of its own is a clause of its own
    if piece.joint == "comma" and next((item.joint for item in following if item.joint != "comma"), "") not in {
        "or",
        "nor",
    }:
        return False
    negative = before.negated or any(item.none for item in before.quantities)
    if piece.joint not in {"or", "comma"} or piece.weak or chunk.negated or chunk.perfect or not negative:
        return False
    first = chunk.tokens[0].lower if chunk.tokens else ""
    if first in {"in", "on", "from"}:
        return before.lead in {"in", "on", "from"}
    return first not in {"are", "is", "have", "has", "did", "do", "who", "they"}


def _same_event(chunk: Chunk, leaf: Leaf) -> Leaf | Problem:
    """Of "but not in the last 7 days", "and at least once in the last week": the event of the clause before."""
    if leaf.link is None:
        return Problem("unknown", chunk.text, "it says nothing that I can test")
    quantities = chunk.quantities
    if any(item.bare and not item.times and item.text in _YEARS for item in quantities):
        return Problem("unknown", chunk.text, "a year alone says nothing; say for each year what was done")
    link = structs.replace(leaf.link, note="", quantities=())
    made = event_leaf(structs.replace(chunk, perfect=False), link, quantities[0] if quantities else None)
    if isinstance(made, Problem) or made.windowed or chunk.never or chunk.windows or not quantities:
        return made
    kept = {name: leaf.condition[name] for name in ("window", "window_days") if name in leaf.condition}
    kept = kept if leaf.condition["type"] == "event_count" else {}
    return structs.replace(made, condition=made.condition | kept, windowed=bool(kept))


_YEARS = {str(year) for year in range(1970, 2200)}


def _windowed(node: Reading, window: Window) -> Reading:
    """The node with the window on each event condition that has none."""
    if isinstance(node, Problem):
        return node
    if isinstance(node, Group):
        children = [_windowed(child, window) for child in node.nodes]
        return Group(node.logic, tuple(child for child in children if not isinstance(child, Problem)))
    if window.kind == "next" or (window.kind == "ago" and not node.first):
        return Problem("unsupported", window.text, "it stands alone; say what was done then")
    if node.first and not node.windowed:
        return recency.first_in(node, window)
    if node.windowed or node.condition["type"] not in {"event_count", "monetary", "event_property"}:
        return node
    return structs.replace(
        node,
        condition=node.condition | window.json(),
        notes=(*node.notes, *window.notes()),
        windowed=True,
        text=f"{node.text} {_inner(window.words())}",
    )


def _inner(words: str) -> str:
    return words[:1].lower() + words[1:]


def _without_subject(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The clause without "users who" and the like in front."""
    at = 0
    while at < len(tokens) and (tokens[at].lower in _QUANTIFIERS or tokens[at].stem in PEOPLE):
        if tokens[at].stem in PEOPLE:
            following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
            plain = following in _AFTER_SUBJECT or tokens[at].lower in {"those", "anyone", "everyone", "people"}
            return tokens[at + 1 :] if plain else tokens
        at += 1
    return tokens


_QUANTIFIERS = {"any", "all", "the", "those", "only", "also", "for"}
_AFTER_SUBJECT = {
    "", "in", "from", "on", "who", "that", "with", "without", "not", "never", "have", "has", "are", "is", "living", "based",
    "aged", "under", "over",
}  # fmt: skip
