"""A sentence about people to a tree of conditions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from msgspec import Struct, structs

from segment_copilot.copilot.models.offline.chunks import Chunk, sort
from segment_copilot.copilot.models.offline.clauses import event_leaf, read_clause
from segment_copilot.copilot.models.offline.index import Index
from segment_copilot.copilot.models.offline.joining import Joined, fold
from segment_copilot.copilot.models.offline.leaves import Group, Leaf, Node, Problem, leaves
from segment_copilot.copilot.models.offline.lexer import Token
from segment_copilot.copilot.models.offline.lexicon import ACTIONS, LIGHT, PEOPLE, concept
from segment_copilot.copilot.models.offline.linker import SURE
from segment_copilot.copilot.models.offline.pieces import Piece, cut
from segment_copilot.copilot.models.offline.subject import read_subject
from segment_copilot.copilot.models.offline.windows import Window


class Audience(Struct, frozen=True):
    """What was understood. *include* is missing where nothing was, or nothing but exclusions."""

    include: Node | None = None
    exclude: Node | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    label: str = ""


def read_audience(tokens: Sequence[Token], index: Index, today: date) -> Audience:
    """Read an audience; the request's command ("create a segment for") is already taken off."""
    label, body = _labelled(tokens)
    subject = read_subject(body, index, today)
    reader = _Reader(index, today)
    read: list[Joined] = []
    if subject.node is not None:
        read.append(Joined("and", subject.node, weak=False))
    read += reader.pieces(cut(body[subject.end :], index, today))
    folded = fold(tuple(read))
    label_problems = (subject.node,) if isinstance(subject.node, Problem) else ()
    del label_problems
    return Audience(folded.include, folded.exclude, (*reader.notes, *folded.notes), folded.problems, label)


def _labelled(tokens: Sequence[Token]) -> tuple[str, tuple[Token, ...]]:
    """A name in front of a colon, and the rest."""
    every = tuple(tokens)
    for at, token in enumerate(every):
        if token.lower == ":" and 0 < at < len(every) - 1:
            return " ".join(item.text for item in every[:at]).replace(" - ", "-"), every[at + 1 :]
    return "", every


class _Reader:
    """Reads pieces in order; a piece may lean on the one before."""

    def __init__(self, index: Index, today: date) -> None:
        self.index = index
        self.today = today
        self.notes: list[str] = []

    def pieces(self, pieces: tuple[Piece, ...]) -> list[Joined]:
        """One node or problem per piece, with its joint."""
        read: list[Joined] = []
        shared: Window | None = None
        for at, piece in enumerate(pieces):
            if piece.inner:
                inner = fold(tuple(self.pieces(piece.inner)))
                node = inner.include or (
                    inner.problems[0] if inner.problems else Problem("unknown", "()", "it is empty")
                )
                read.append(Joined(piece.joint, node, weak=piece.weak))
                continue
            chunk = sort(_without_subject(piece.tokens), self.today)
            if not chunk.words and not chunk.quantities and not chunk.negated and chunk.window:
                shared = self._spread(chunk, read, shared)
                continue
            if not chunk.words and not chunk.quantities and not chunk.window and not chunk.negated:
                continue
            self._read(chunk, piece, pieces[at + 1 :], read)
        if shared:
            read = [structs.replace(item, node=_windowed(item.node, shared)) for item in read]
        return read

    def _spread(self, chunk: Chunk, read: list[Joined], shared: Window | None) -> Window | None:
        """A window on its own: in front it holds for all that follows, behind for all before."""
        if not read or chunk.window is None:
            return chunk.window
        if any(isinstance(item.node, Problem) for item in read):
            return shared
        read[:] = [structs.replace(item, node=_windowed(item.node, chunk.window)) for item in read]
        return shared

    def _read(self, chunk: Chunk, piece: Piece, following: tuple[Piece, ...], read: list[Joined]) -> None:
        before = read[-1] if read else None
        if piece.joint == "with" and before and (whole := self._attached(chunk, before)) is not None:
            read[-1] = whole
            return
        inherits = before is not None and _inherits(chunk, piece, before)
        if inherits and before is not None and before.chunk:
            chunk = structs.replace(chunk, negated=True, never=before.chunk.never, perfect=before.chunk.perfect)
        node = self._node(chunk, before, following)
        joint = "and" if inherits else piece.joint
        if (
            inherits
            and before is not None
            and chunk.window
            and isinstance(before.node, Leaf)
            and not before.node.windowed
        ):
            read[-1] = self._again(before, chunk.window)
        read.append(Joined(joint, node, weak=piece.weak, chunk=chunk, distributed=inherits))

    def _again(self, before: Joined, window: Window) -> Joined:
        """The clause before, read again with the window that it shares."""
        if before.chunk is None:
            return before
        chunk = structs.replace(before.chunk, windows=(*before.chunk.windows, window))
        return structs.replace(before, node=read_clause(chunk, self.index), chunk=chunk)

    def _attached(self, chunk: Chunk, before: Joined) -> Joined | None:
        """ "with a coupon" and "without a coupon" as a filter of the clause before, where its event has such a property."""
        if (
            before.chunk is None
            or not isinstance(before.node, Leaf)
            or before.node.link is None
            or before.node.link.known is None
        ):
            return None
        fields = before.node.link.known.fields
        from segment_copilot.copilot.models.offline.filters import attach  # noqa: PLC0415

        return attach(before, chunk, fields)

    def _node(self, chunk: Chunk, before: Joined | None, following: tuple[Piece, ...]) -> Node | Problem:
        leaf = _leaf_of(before)
        if not chunk.words and leaf is not None and leaf.link is not None:
            return _same_event(chunk, leaf)
        alone = read_clause(chunk, self.index)
        candidates = [alone]
        if leaf is not None and leaf.verbs and not _acts(chunk):
            candidates.append(read_clause(_with_words(chunk, (*leaf.verbs, *chunk.items), leaf), self.index))
        if following and _acts(chunk) and all(concept(word.stem) in ACTIONS for word in chunk.words):
            after = sort(following[0].tokens, self.today)
            things = tuple(word for word in after.words if concept(word.stem) not in ACTIONS and word.stem not in LIGHT)
            if things and _acts(after) and following[0].joint in {"or", "and", "comma"}:
                candidates.append(read_clause(_with_words(chunk, (*chunk.items, *things), None), self.index))
        return _better(candidates)


def _with_words(chunk: Chunk, items: tuple[Any, ...], leaf: Leaf | None) -> Chunk:
    del leaf
    return structs.replace(chunk, items=items)


def _better(candidates: list[Node | Problem]) -> Node | Problem:
    """The first reading, unless it fails or a later one names its event better."""
    best = candidates[0]
    for other in candidates[1:]:
        if isinstance(other, Problem):
            continue
        if isinstance(best, Problem) or (_score(best) < SURE and _score(other) > _score(best)):
            best = other
    return best


def _score(node: Node | Problem) -> float:
    if isinstance(node, Leaf):
        return node.link.score if node.link else 1.0
    return 1.0


def _leaf_of(before: Joined | None) -> Leaf | None:
    if before is None or isinstance(before.node, Problem):
        return None
    return leaves(before.node)[-1]


def _acts(chunk: Chunk) -> bool:
    return any(concept(word.stem) in ACTIONS or word.stem in LIGHT for word in chunk.words)


def _inherits(chunk: Chunk, piece: Piece, before: Joined) -> bool:
    """Whether a "not" before an "or" reaches this clause: "haven't visited or purchased"."""
    if piece.joint == "nor":
        return True
    if piece.joint not in {"or", "comma"} or before.chunk is None or chunk.negated or chunk.perfect:
        return False
    none = any(item.none for item in before.chunk.quantities)
    if not (before.chunk.negated or none) or piece.weak:
        return False
    first = chunk.tokens[0].lower if chunk.tokens else ""
    return first not in {"are", "is", "have", "has", "did", "do", "who", "they", "in", "on", "from"} or (
        first in {"in", "on", "from"} and before.chunk.lead in {"in", "on", "from"}
    )


def _same_event(chunk: Chunk, leaf: Leaf) -> Leaf | Problem:
    """ "but not in the last 7 days", "and at least once in the last week": the event of the clause before."""
    if leaf.link is None:
        return Problem("unknown", chunk.text, "it says nothing that I can test")
    quantities = chunk.quantities
    return event_leaf(structs.replace(chunk, perfect=False), leaf.link, quantities[0] if quantities else None)


def _windowed(node: Node | Problem, window: Window) -> Node | Problem:
    """The node with the window on each event condition that has none."""
    if isinstance(node, Problem):
        return node
    if isinstance(node, Group):
        return Group(
            node.logic,
            tuple(
                child for child in (_windowed(child, window) for child in node.nodes) if not isinstance(child, Problem)
            ),
        )
    if node.windowed or node.condition["type"] not in {"event_count", "monetary", "event_property"}:
        return node
    return structs.replace(
        node, condition=node.condition | window.json(), windowed=True, text=f"{node.text} {window.words()}"
    )


def _without_subject(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The clause without "users who" and the like in front."""
    at = 0
    while at < len(tokens) - 1 and (
        tokens[at].lower in {"any", "all", "the", "those", "only", "also", "for"} or tokens[at].stem in PEOPLE
    ):
        if tokens[at].stem in PEOPLE:
            following = tokens[at + 1].lower
            return (
                tokens[at + 1 :]
                if following
                in {
                    "in",
                    "from",
                    "on",
                    "who",
                    "that",
                    "with",
                    "without",
                    "not",
                    "never",
                    "have",
                    "has",
                    "are",
                    "is",
                    "living",
                    "based",
                    "aged",
                    "under",
                    "over",
                }
                or tokens[at].lower in {"those", "anyone", "everyone", "people"}
                else tokens
            )
        at += 1
    return tokens
