"""Makes a draft, a question or a refusal of a sentence: the readings of it, how likely each is, and whether one is clear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.linking.names import Names
from segment_copilot.english.outcomes import Asked, Choice, Drafted, Part, Refused
from segment_copilot.english.reading.anchors import TITLED, Anchor, Anchors, find, names_of
from segment_copilot.english.reading.assumed import assumed
from segment_copilot.english.reading.chart import Chart, TooLong
from segment_copilot.english.reading.meanings import Reading, clauses, write
from segment_copilot.english.reading.refusals import not_read, unplaced
from segment_copilot.english.reading.same import kin, members
from segment_copilot.english.reading.spans import union
from segment_copilot.english.reading.weights import NULL, learned
from segment_copilot.language import Definition
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.describe import describe, entitle
from segment_copilot.language.equivalence import Form

LONGEST: Final = 2_000
"""Characters of a request: a longer one is not read."""
CLEAR: Final = 0.8
"""How likely a reading must be to be drafted without asking."""
_UNRIVALLED: Final = 0.6  # of that is enough where no other is a tenth as likely
_RIVAL: Final = 0.1
_LOOSE: Final = frozenset({"rule:aside", "any:bare", "value:presence"})
"""What a sentence may be read as by accident: that is asked about, also where nothing else is found."""
_OFFERED: Final = 3
_AS_LIKELY: Final = 0.05  # a reading is offered beside one that is at most twenty times as likely
_WITHOUT: Final = 2
_LEFT: Final = 3  # words that stand together: a sentence that means nothing else can be offered without them
_PART: Final = 3  # they are at most one of so many of its words
_WORDS: Final = 160


class Candidate(Struct, frozen=True):
    """A definition that a sentence may mean, with the readings that give it; *left* are words that it does not explain."""

    definition: Definition
    reading: Reading
    pointers: tuple[tuple[str, int], ...]
    probability: float
    left: int


class Rated(Struct, frozen=True):
    """Tells how likely something is meant, whether it explains every word, and whether it leaves out but a few that name something."""

    probability: float
    clean: bool
    near: bool
    loose: bool = False
    kin: Form | None = None
    """What it has in common with those that differ by who never did something: between these nobody need be asked."""


class Decision(Struct, frozen=True):
    """Tells what is made of readings: one is *drafted*, some are *asked* about, or all are refused and some offered *without* words."""

    drafted: int | None = None
    asked: tuple[int, ...] = ()
    without: tuple[int, ...] = ()


def decision(rated: Sequence[Rated], clear: float = CLEAR) -> Decision:
    """Return what is made of readings, likeliest first, by their places."""
    if rated and rated[0].clean:
        same = [one for at, one in enumerate(rated) if not at or (one.clean and one.kin == rated[0].kin is not None)]
        first = sum(one.probability for one in same)
        rival = max((one.probability for one in rated if one not in same), default=0.0)
        unrivalled = rival <= _RIVAL * first and not rated[0].loose
        if first >= (_UNRIVALLED * clear if unrivalled else clear):
            return Decision(drafted=0)
    clean = [at for at, one in enumerate(rated) if one.clean]
    if clean:
        least = rated[clean[0]].probability * _AS_LIKELY
        return Decision(asked=tuple(at for at in clean[:_OFFERED] if rated[at].probability >= least))
    return Decision(without=tuple(at for at, one in enumerate(rated) if one.near)[:_WITHOUT])


class Understood(Struct, frozen=True):
    """All that a sentence may mean, likeliest first, and what it mentions."""

    found: Anchors
    candidates: tuple[Candidate, ...]
    readings: tuple[Reading, ...]
    unsaid: Mapping[str, float]  # the features of its meaning nothing
    steps: int = 0


def read_audience(
    text: str, catalog: Catalog, as_of: datetime, timezone: str, *, weights: Mapping[str, float] | None = None
) -> Drafted | Asked | Refused:
    """Return what *text* asks for, in a tenant's *catalog*, at *as_of*: a draft only when it is clearly meant."""
    if len(text) > LONGEST:
        said = (
            f"This request has {len(text):,} characters; at most {LONGEST:,} are read. Please say it in a shorter one."
        )
        return Refused(said, too_long=True)
    try:
        understood = understand(text, catalog, as_of, timezone, weights=weights)
    except TooLong:
        return Refused(
            "This sentence has too many parts to be read as one audience. Please say it in a shorter one.",
            too_long=True,
        )
    return decide(understood, catalog)


def understand(
    text: str, catalog: Catalog, as_of: datetime, timezone: str, *, weights: Mapping[str, float] | None = None
) -> Understood:
    """Return what *text* may mean.

    Raises:
        TooLong: It has more parts than are read.
    """
    given = learned() if weights is None else weights
    found = find(text, names_of(catalog), as_of, timezone)
    if len(found.tokens) > _WORDS:
        raise TooLong
    chart = Chart(found, given)
    readings = chart.read()
    unsaid = nothing(found, len(chart.units))
    return Understood(found, candidates(readings, unsaid, given, found.names), readings, unsaid, chart.steps)


def nothing(found: Anchors, units: int) -> dict[str, float]:
    """Return the features of a sentence meaning nothing that can be said: how much it says that would have to be placed."""
    told = found.content
    known = sum(1 for at in range(len(found.tokens)) if told >> at & 1 and found.evidence[at])
    return {
        NULL: 1.0,
        "null:parts": float(min(units - 1, 12)),
        "null:words": float(min(told.bit_count(), 30)),
        "null:named": float(min(known, 12)),
        "null:numbers": float(min(len(found.quantities), 8)),
        "null:windows": float(min(len(found.windows), 6)),
        "null:sentences": float(min(sum(joint.kind == "stop" for joint in found.joints), 6)),
        "null:negations": float(min(len(found.negations), 4)),
        "null:pointing": float(min(len(found.pronouns), 4)),
    }


def candidates(
    readings: Sequence[Reading], unsaid: Mapping[str, float], weights: Mapping[str, float], names: Names
) -> tuple[Candidate, ...]:
    """Return the definitions of some readings, those of the same members as one, with what is likeliest first."""
    whole = [(one, write(one, names)) for one in readings if one.fragment is None and one.window is None]
    nothing = sum(weights.get(name, 0.0) * value for name, value in unsaid.items())
    top = max([*(one.score for one, _ in whole), nothing])
    masses = [math.exp(one.score - top) for one, _ in whole]
    total = sum(masses) + math.exp(nothing - top)
    made: dict[Form, Candidate] = {}
    for (one, written), mass in zip(whole, masses, strict=True):
        if written is None:  # chat, which is a likelihood of its own
            continue
        mark = members(written.definition)
        left = left_of(one)
        known = made.get(mark)
        if known is None:
            made[mark] = Candidate(written.definition, one, written.pointers, mass / total, left)
        elif left and not known.left:
            continue
        elif known.left and not left:
            made[mark] = Candidate(written.definition, one, written.pointers, mass / total, left)
        else:
            made[mark] = structs.replace(known, probability=known.probability + mass / total)
    return tuple(sorted(made.values(), key=lambda one: -one.probability))


def left_of(one: Reading) -> int:
    """Return the words that a reading does not explain; what points back to nothing is among them."""
    left = one.left | one.pronoun
    for clause in (*clauses(one.tree), *clauses(one.exclude)):
        if clause.window is not None and clause.window.kind == "same" and not clause.timed:
            left |= clause.used
    left |= one.ordered
    if one.window is not None:
        left |= one.window.mask
    if one.fragment is not None:
        left |= one.fragment.used
    return left


def is_near(one: Reading, found: Anchors) -> bool:
    """Return whether a reading leaves out but a few words that stand together and only name something.

    Never a number, a time, a negation, an order, who is left out, or what points back: without these it were another audience.
    """
    left = left_of(one)
    out = (joint for joint in found.joints if joint.kind in {"except", "nor"})
    compared = (Anchor(at, at + 1) for at, token in enumerate(found.tokens) if token.lower == "than")
    binding = (
        *found.windows,
        *found.quantities,
        *found.negations,
        *found.orders,
        *found.pronouns,
        *found.lists,
        *out,
        *compared,
    )
    words = left.bit_count()
    together = left.bit_length() - (left & -left).bit_length() < words + 2
    few = 0 < words <= _LEFT and _PART * words <= found.content.bit_count()
    return few and together and not left & union(binding)


def is_loose(features: Mapping[str, float]) -> bool:
    """Return whether a reading rests on what a sentence may be read as by accident."""
    return not _LOOSE.isdisjoint(name for name, value in features.items() if value)


def decide(understood: Understood, catalog: Catalog) -> Drafted | Asked | Refused:
    """Return the draft of a reading that is clear, a question between those that explain every word, or a refusal."""
    found, candidates = understood.found, understood.candidates
    rated = [
        Rated(
            one.probability,
            not one.left,
            is_near(one.reading, found),
            is_loose(one.reading.all_features()),
            kin(one.definition),
        )
        for one in candidates
    ]
    made = decision(rated)
    if made.drafted is not None:
        return _drafted(candidates[made.drafted], found, catalog)
    names = {number: segment.name for number, segment in catalog.segments.items()}
    drafts = [_drafted(candidates[at], found, catalog) for at in (*made.asked, *made.without)]
    options = tuple(Choice(describe(one.definition, names), one) for one in drafts)
    if made.asked and not_read(found) is None:
        return Asked("Which of these do you mean?" if len(options) > 1 else "Do you mean this?", options)
    return Refused(
        "Not every word of this could be placed.",
        unplaced(found, understood.readings, left_of),
        without=() if made.asked else options,
    )


def _drafted(one: Candidate, found: Anchors, catalog: Catalog) -> Drafted:
    names = {number: segment.name for number, segment in catalog.segments.items()}
    sentence = found.sentence
    notes = [note for _, note in (*sentence.notes, *one.reading.notes)] + [*assumed(found, one.definition)]
    named = [at for at in range(len(found.tokens)) if (found.title or one.reading.label) >> at & 1]
    given = [at for at in named if found.title and found.tokens[at].lower not in TITLED]
    label = sentence.said(given or named).strip(" :\"'“”")
    name = label[:1].upper() + label[1:] if label else entitle(one.definition, names)
    if one.left:
        notes.append(f"“{_left_out(one, found)}” is left out.")
    return Drafted(one.definition, name, one.probability, _parts(one, found), tuple(dict.fromkeys(notes)), bool(label))


def _left_out(one: Candidate, found: Anchors) -> str:
    return found.sentence.said([at for at in range(len(found.tokens)) if one.left >> at & 1]).strip(" ,.;:")


def _parts(one: Candidate, found: Anchors) -> tuple[Part, ...]:
    """Return the sentence in parts, each with the conditions that its words made; neighbours of the same are one part."""
    pointed = [tuple(pointer for pointer, used in one.pointers if used >> at & 1) for at in range(len(found.tokens))]
    notes = dict(found.sentence.notes)
    parts: list[Part] = []
    for at, pointers in enumerate(pointed):
        start, end = found.sentence.spans[at]
        assumed = notes.get(at, "")
        last = parts[-1] if parts else None
        if one.left >> at & 1:
            parts.append(Part(found.sentence.text[start:end], start, end, unmapped=True))
            continue
        if not pointers and not assumed:
            continue
        gap = found.sentence.text[last.end : start] if last and last.end <= start else ""
        if (
            last is not None
            and last.pointers == pointers
            and not assumed
            and not last.assumed
            and not last.unmapped
            and (not gap.strip() or last.end > start)
        ):
            end = max(end, last.end)
            parts[-1] = structs.replace(last, end=end, text=found.sentence.text[last.start : end])
        else:
            parts.append(Part(found.sentence.text[start:end], start, end, pointers, assumed))
    return tuple(parts)
