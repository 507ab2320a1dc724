"""Which neighbours share a time span that stands behind the last: "viewed a product and added it to the cart this week"."""

from __future__ import annotations

from segment_copilot.english.audience.joining import Joined
from segment_copilot.english.audience.leaves import Leaf
from segment_copilot.english.times.phrases import length
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import LIGHT


def side_by_side(before: Joined, item: Joined) -> bool:
    """Whether the time span of *item* holds for *before* too: both say the same kind of thing in the same way."""
    if item.weak or item.joint not in {"and", "or", "comma"} or item.distributed:
        return False
    if _without_nouns(before) and _without_nouns(item):
        return isinstance(item.node, Leaf) and isinstance(before.node, Leaf) and not before.node.windowed
    if _counted_nouns(before) and _counted_nouns(item):
        return (
            isinstance(before.node, Leaf)
            and isinstance(item.node, Leaf)
            and item.node.windowed
            and not before.node.windowed
        )
    if _object_beside(before, item):
        return True
    counted = item.joint == "or"
    return _plain_deed(before, windowed=False, counted=counted) and _plain_deed(item, windowed=True, counted=counted)


def _object_beside(before: Joined, item: Joined) -> bool:
    """Of "have added something to the cart or the wishlist since Monday": the second has no verb of its own."""
    if item.chunk is None or before.chunk is None or before.chunk.windows or before.chunk.negated or item.chunk.negated:
        return False
    verbs = any(word.lower.endswith("ed") or word.stem in LIGHT for word in item.chunk.words)
    both = all(isinstance(one.node, Leaf) and one.node.condition["type"] == "event_count" for one in (before, item))
    windowed = (
        isinstance(item.node, Leaf)
        and item.node.windowed
        and isinstance(before.node, Leaf)
        and not before.node.windowed
    )
    return both and windowed and not verbs and not item.chunk.perfect and not item.chunk.quantities


def _without_nouns(item: Joined) -> bool:
    """Of "without any orders and without any visits in the last week"."""
    return item.chunk is not None and bool(item.chunk.tokens) and item.chunk.tokens[0].lower == "without"


def _counted_nouns(item: Joined) -> bool:
    """A number with a noun and no verb: "2 searches and no purchases in the last week"."""
    chunk, leaf = item.chunk, item.node
    if chunk is None or not isinstance(leaf, Leaf) or leaf.condition["type"] != "event_count" or not chunk.quantities:
        return False
    return (
        not chunk.perfect
        and not chunk.negated
        and not any(word.lower.endswith("ed") or word.stem in LIGHT for word in chunk.words)
    )


def _plain_deed(item: Joined, *, windowed: bool, counted: bool) -> bool:
    """One condition "at least once", said without an auxiliary, a number, or "ever"."""
    leaf, chunk = item.node, item.chunk
    if chunk is None or not isinstance(leaf, Leaf) or leaf.windowed != windowed or chunk.negated or chunk.perfect:
        return False
    condition = leaf.condition
    if condition["type"] != "event_count" or len(chunk.windows) != (1 if windowed else 0):
        return False
    return counted or (condition["operator"] == "gte" and condition["value"] == 1 and not chunk.quantities)


def only_length(tokens: tuple[Token, ...]) -> Window | None:
    """Of "abandoned baskets, 14 days": a length of time that stands alone."""
    read = length(tokens, 0)
    return Window("last", text=written(tokens), length=read[0]) if read and read[1] == len(tokens) else None
