"""Says which words of a sentence could not be placed, why, and which names of the catalog would fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from segment_copilot.english.linking.names import Names
from segment_copilot.english.outcomes import Unplaced
from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.english.reading.meanings import Reading
from segment_copilot.language.catalog import nearest

_FEW: Final = 6
_SAID: Final = 4


def unplaced(found: Anchors, readings: Sequence[Reading], left_of: Callable[[Reading], int]) -> tuple[Unplaced, ...]:
    """Return the words that the likeliest reading leaves over, stretch by stretch; the whole sentence where it leaves none."""
    if (unread := not_read(found)) is not None:
        return (unread,)
    told = [one for one in readings if one.tree is not None or one.exclude is not None]
    left = left_of(told[0]) if told else found.content
    if not left:
        why = "it can be read in more than one way, and none is clear" if told else "it does not say which people"
        return (Unplaced(found.sentence.text.strip()[:120], why),)
    stretches: list[list[int]] = []
    for at in range(len(found.tokens)):
        if not left >> at & 1:
            continue
        if stretches and stretches[-1][-1] == at - 1:
            stretches[-1].append(at)
        else:
            stretches.append([at])
    return tuple(_told(found, stretch) for stretch in stretches[:_SAID])


def not_read(found: Anchors) -> Unplaced | None:
    """Return the field that a number or a time is said of, whose values are texts that are read as neither."""
    said = {"number": found.quantities, "date": found.windows}
    for one in found.fields:
        kind = one.place.field.unreadable
        if kind and one.share == 1 and any(not other.mask & one.mask for other in said[kind]):
            stored = f"texts such as “{one.place.field.texts[0]}”, which are not read as {kind}s"
            return Unplaced(
                found.sentence.said([one.start, one.end - 1]), f"the values of `{one.place.path}` are {stored}"
            )
    return None


def _told(found: Anchors, stretch: Sequence[int]) -> Unplaced:
    text = found.sentence.said(stretch).strip(" ,.;:")
    field = next(
        (
            one
            for one in found.fields
            if one.share == 1 and (one.start - 2 <= stretch[-1] < one.start or one.end <= stretch[0] < one.end + 2)
        ),
        None,
    )
    if (
        field is not None
        and field.place.field.known.samples
        and not field.place.numeric
        and not field.mask >> stretch[0] & 1
    ):
        samples = [str(sample) for sample in field.place.field.known.samples]
        names = tuple(samples) if len(samples) <= _FEW else nearest(text, samples)
        return Unplaced(text, f"it is no known value of `{field.place.path}`", names)
    if any(one.start in stretch for one in found.pronouns):
        return Unplaced(text, "it is not clear what this points back to")
    if any(one.start in stretch for one in (*found.windows, *found.quantities)):
        return Unplaced(text, "it is not clear what this belongs to")
    if any(found.evidence[at] for at in stretch) or any(one.mask >> stretch[0] & 1 for one in found.fields):
        return Unplaced(text, "it is known here, but not what it means in this place")
    return Unplaced(text, "nothing here has this name", nearest(text, _names(found.names)))


def _names(names: Names) -> list[str]:
    return [
        *(one.name for one in names.events),
        *names.catalog.traits,
        *(one.name for one in names.catalog.segments.values()),
    ]
