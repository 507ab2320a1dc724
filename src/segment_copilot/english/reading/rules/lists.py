"""Reads how a list is meant: "any of: …", "none of the following: …", "exactly one of …", "…, one is enough", "…, not both"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.english.reading.meanings import (
    Fragment,
    Joined,
    Reading,
    Tree,
    changed,
    clauses,
    join,
    timed,
    turned,
)
from segment_copilot.english.reading.rules.sharing import Between, Rule, both, leans
from segment_copilot.english.reading.spans import Span, reading, union


def meant(span: Span) -> Iterator[Reading]:
    """Any of the following, in the last 60 days: how a list beside it is meant, and when."""
    said = [one for one in span.found.lists if one.start >= span.start and one.end <= span.end]
    if len(said) != 1 or len(span.windows) > 1 or span.pronouns & ~said[0].mask:
        return
    used = said[0].mask | union(span.windows)
    rest = span.found.content & span.mask & ~used & ~union(span.negations) & ~span.having(lexicon.swallowed("list"))
    if not rest:
        window = span.windows[0].window if span.windows else None
        yield reading(
            span,
            f"list:{said[0].kind}",
            None,
            span.mask,
            "",
            {},
            fragment=Fragment(used, window=window, order=f"list:{said[0].kind}"),
        )


def _listed(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Any of: a visit, an order; gold or from Spain, not both."""
    del found
    for mark, other, behind in ((one, two, False), (two, one, True)):
        part, tree = mark.fragment, other.tree
        if (
            part is None
            or not part.order.startswith("list:")
            or tree is None
            or leans(other)
            or other.exclude is not None
        ):
            continue
        kind = part.order.removeprefix("list:")
        made = _meant(kind, tree)
        if made is not None:
            place = "behind" if behind else "front"
            features = {f"listed:{kind.partition(':')[0]}": 1.0, f"listed:{place}:{between.main}": 1.0}
            if kind != "one":
                features["listed:shared"] = float(_shares(other))
            yield both(one, two, features, tree=_within(made, part))


def _shares(one: Reading) -> bool:
    """Return whether a part of a list was given the time of another one: each of a list has its own."""
    return any(value and name.startswith(("share:left", "share:right")) for name, value in one.all_features().items())


def _within(tree: Tree, part: Fragment) -> Tree:
    window = part.window
    return tree if window is None else changed(tree, lambda clause: timed(clause, window, part.used))


def _meant(kind: str, tree: Tree) -> Tree | None:
    parts = tree.parts if isinstance(tree, Joined) else (tree,)
    if kind == "none":
        return join("AND", *(turned(part) for part in parts)) if all(one.positive for one in clauses(tree)) else None
    if len(parts) < 2:  # noqa: PLR2004
        return None
    if kind.startswith("least:"):
        least = int(kind.removeprefix("least:"))
        return Joined("AND", parts, least) if least < len(parts) else None
    if kind in {"any", "all"}:
        return join("OR" if kind == "any" else "AND", *parts)
    if len(parts) != 2:  # noqa: PLR2004
        return None
    first, second = parts
    return join("OR", join("AND", first, _plain(turned(second))), join("AND", second, _plain(turned(first))))


def _plain(tree: Tree) -> Tree:
    """Return what is turned around with no words of its own: these made what is not turned around."""
    return changed(tree, lambda clause: structs.replace(clause, used=0))


RULES: Final = (Rule("meant", frozenset(), _listed),)
"""How a list beside such words is joined."""
