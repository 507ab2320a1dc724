"""Clauses about a measured property that is no money: "average visit longer than 80 minutes", "at least 10 items per order on average"."""

from __future__ import annotations

from typing import Any, Final

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Leaf
from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.linking.linker import Link, link_event
from segment_copilot.english.linking.values import mention
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import LIGHT, NOISE, concept, stems
from segment_copilot.language.operators import OPPOSITE_NUMBER

_METRICS: Final = {
    "avg": stems("average averag avg mean typical typically"),
    "median": stems("median"),
    "max": stems("largest highest maximum max longest biggest most"),
    "min": stems("smallest lowest minimum min shortest least"),
    "sum": stems("total combined altogether sum overall together"),
}
_BESIDE: Final = stems(
    "long last lasting take number amount per each on how much many value time length duration size be is are"
)


def read_measure(chunk: Chunk, index: Index) -> Leaf | None:
    """A clause that compares an average, a sum or an extreme of a numeric property; None for any other."""
    counts = [item for item in chunk.quantities if not (item.times or item.none or item.bare or item.currency)]
    metric = _metric(chunk)
    if metric is None or len(counts) != 1 or len(chunk.quantities) != 1:
        return None
    said = [item for item in chunk.items if isinstance(item, Token) and item.stem not in _METRICS[metric]]
    found = [
        (link, field) for known in index.events for field in known.fields if field.numeric
        if (link := _about(said, field, known.name, index)) is not None
    ]  # fmt: skip
    if len({(link.event_type, field.path) for link, field in found}) != 1:
        return None
    link, field = found[0]
    return _leaf(chunk, link, field, metric, counts[0])


def _metric(chunk: Chunk) -> str | None:
    words = {item.stem for item in chunk.items if isinstance(item, Token)}
    return next((metric for metric, said in _METRICS.items() if words & said), None)


def _about(said: list[Token], field: Field, event_type: str, index: Index) -> Link | None:
    """The event that the words name besides the property; None when they do not name both."""
    used: set[int] = set()
    for at in range(len(said)):
        length, coverage = mention(said, at, field, used)
        if length and coverage >= 1:
            used |= set(range(at, at + length))
    units = {at for at, word in enumerate(said) if word.stem in field.units}
    if not used and not units:
        return None
    named = tuple(word for at, word in enumerate(said) if at not in used | units and word.stem not in _BESIDE)
    rest = tuple(word for word in named if word.stem not in NOISE | LIGHT)
    if not rest:
        return Link(event_type, (), 0.9) if used else None
    links = link_event(named, index)
    if not links or links[0].event_type != event_type or links[0].unexplained or links[0].unknown_values:
        words = {concept(word.stem) for word in rest}
        return Link(event_type, (), 0.9) if used and words <= set(field.words) else None
    return links[0]


def _leaf(chunk: Chunk, link: Link, field: Field, metric: str, amount: Quantity) -> Leaf:
    window = chunk.window
    told = f"the {_SPOKEN[metric]} of `{link.event_type}.{field.path}` is compared"
    notes = (told, *(window.notes() if window else ()))
    return Leaf(aggregate(chunk, link, field, metric, amount), chunk.text, notes, link, windowed=window is not None)


_SPOKEN: Final = {"avg": "average", "median": "median", "max": "largest", "min": "smallest", "sum": "sum"}


def aggregate(chunk: Chunk, link: Link, field: Field, metric: str, amount: Quantity) -> dict[str, Any]:
    """The condition that compares *metric* of the property over the clause's events that pass the link's tests."""
    condition: dict[str, Any] = {
        "type": "monetary",
        "event_type": link.event_type,
        "property": field.path,
        "metric": metric,
        "operator": OPPOSITE_NUMBER[amount.operator] if chunk.negated else amount.operator,
        "value": amount.value,
    }
    if amount.value2 is not None:
        condition["value2"] = amount.value2
    if where := [test.json() for test in link.tests]:
        condition["where"] = where
    return condition | (chunk.window.json() if chunk.window else {})
