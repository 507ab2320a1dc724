"""What one occurrence said: "whose last order used the coupon VIP20", "paid their first order by card"."""

from __future__ import annotations

from typing import Any, Final, Literal

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Leaf, Node, Problem, joined
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import link_event
from segment_copilot.english.linking.values import Item, opposite
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import stems

_LATEST: Final = stems("last latest recent previous")
_FIRST: Final = stems("first initial")
_EVERY: Final = stems("every each")
_COPULAS: Final = frozenset({"is", "was", "were", "are", "used", "came", "contained", "had", "has"})
_BESIDE: Final = _LATEST | _FIRST | _EVERY | stems("most very")


def read_occurrence(chunk: Chunk, index: Index) -> Node | Problem | None:
    """A clause about a property of the latest, the first or every occurrence of an event; None for any other."""
    if any(item.times for item in chunk.quantities):
        return None
    which = _which(chunk.items)
    window = chunk.window
    if which is None or (window is not None and (which != "every" or not window.json())):
        return None
    items = tuple(item for item in chunk.items if not (isinstance(item, Token) and item.stem in _BESIDE))
    links = link_event(items, index)
    if not links or links[0].unexplained or links[0].unknown_values or not links[0].tests or links[0].quantities:
        return None
    link = links[0]
    made: list[Leaf] = []
    copula = next(
        (at for at, item in enumerate(items) if isinstance(item, Token) and item.lower in _COPULAS), len(items)
    )
    which_ones = [test for test in link.tests if max(test.used, default=0) < copula < len(items)]
    said = [test for test in link.tests if test not in which_ones] or list(link.tests)
    for test in said:
        read = opposite(test) if chunk.negated else test
        condition: dict[str, Any] = {"type": "event_property", "event_type": link.event_type, **read.json()}
        if which_ones and said != list(link.tests):
            condition["where"] = [one.json() for one in which_ones]
        if which != "latest":
            condition["occurrence"] = which
        condition |= window.json() if window else {}
        notes = tuple(note for note in (link.note, test.note) if note)
        made.append(Leaf(condition, chunk.text, notes, link, windowed=window is not None))
    return joined("OR" if chunk.negated and len(made) > 1 else "AND", tuple(made))


def _which(items: tuple[Item, ...]) -> Literal["latest", "first", "every"] | None:
    """Which occurrence is meant; the word stands before what names the event."""
    for at, item in enumerate(items[:-1]):
        following = items[at + 1]
        if not isinstance(item, Token) or not isinstance(following, Token) or following.kind != "word":
            continue
        if item.stem in _LATEST:
            return "latest"
        if item.stem in _FIRST:
            return "first"
        if item.stem in _EVERY and following.lower not in {"day", "week", "month", "time", "one", "of"}:
            return "every"
    return None
