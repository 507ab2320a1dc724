"""Makes the draft after a message of the one before it: steps one after the other, each a kind of change that fits its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import jsonpointer
import msgspec
from msgspec import Struct, structs

from segment_copilot.english.edits import ways
from segment_copilot.english.edits.aspects import tests_of
from segment_copilot.english.edits.kinds import KINDS
from segment_copilot.english.edits.meant import Made
from segment_copilot.english.edits.outcome import Edited, Json
from segment_copilot.english.edits.said import Desk, Part
from segment_copilot.english.edits.targets import spoken
from segment_copilot.english.edits.tree import Unfit, as_one, document, excluding, joined, places
from segment_copilot.english.outcomes import Asked, Choice, Drafted, Refused, Unplaced
from segment_copilot.english.outcomes import Part as Told
from segment_copilot.english.plan import Base
from segment_copilot.english.reading.anchors import Anchors, QuantityAnchor, find, names_of
from segment_copilot.english.reading.audience import left_of
from segment_copilot.english.reading.refusals import unplaced
from segment_copilot.english.reading.spans import union
from segment_copilot.english.words.asking import sentences
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import Definition, EventSequence, UserProperty, decode, meaning
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.changes import changes
from segment_copilot.language.describe import describe, entitle
from segment_copilot.language.edits import difference
from segment_copilot.language.lint import lint

LONGEST: Final = 500
"""Characters of a change: a longer message is none."""
_STEPS: Final = 4
_TRIES: Final = 40
_OPTIONS: Final = 4
_CUTS: Final = frozenset({"and", "but", ",", ".", ";", ":", "!", "then", "+", "—", "-"})
_BEFORE: Final = frozenset(
    {"up", "to", "only", "just", "=", "lower", "down", "not", "and", "rather", "than", "instead", "of", ","}
)


class Done(Struct, frozen=True):
    """Holds what a stretch of the message made of a draft: the definitions that may be meant, and how it was read."""

    made: tuple[Definition, ...]
    kind: str
    start: int
    end: int
    before: tuple[Done, ...] = ()
    name: str = ""
    sure: bool = True


class _Trial:
    """Tries ways of reading one message, within a budget; it remembers why what was surely a change could not be made."""

    def __init__(self, again: Callable[[Definition], Desk], first: Definition) -> None:
        self.again = again
        self.first = first
        self.left = _TRIES
        self.wrong: list[tuple[str, Part | None]] = []

    def steps(self, desk: Desk, start: int, end: int, kind: str, depth: int) -> tuple[Done, ...] | None:
        """Return the steps of a stretch, the fewest that leave no word over; None where none do."""
        whole = self.one(desk, start, end, kind)
        if whole is not None:
            return (whole,)
        if depth == 1:
            return None
        for cut in (at for at in range(end - 2, start, -1) if desk.found.tokens[at].lower in _CUTS):
            first = self.one(desk, start, cut, kind)
            if first is None or len(first.made) != 1:
                continue
            rest = self.steps(self.again(first.made[0]), cut + 1, end, first.kind, depth - 1)
            if rest is not None and all(_keeps(desk.definition, first.made[0], one) for one in rest[-1].made):
                return (first, *rest)
            again = self.one(desk, cut + 1, end, first.kind)
            if again is not None and again.made == first.made:  # it only says the same again
                return (structs.replace(first, end=again.end),)
        return None

    def one(self, desk: Desk, start: int, end: int, kind: str) -> Done | None:
        """Return what a stretch makes as one step; *kind* is that of the step before, which it may go on with."""
        found = desk.found
        start = ways.lead(found, start, end)
        end = ways.tail(found, start, end)
        fits = [*ways.fits(found, start, end)]
        if start >= end:
            return None
        typed = found.sentence.text[found.sentence.spans[start][0] :].lower()
        if typed.startswith(("only ", "just ")) and found.tokens[start].lower not in {
            "only",
            "just",
        }:  # an idiom took it along
            fits.insert(0, ways.Fit("only", sure=True, slots={"new": (start, end)}))
        if typed.startswith("lower to ") and end - start > 2:  # noqa: PLR2004  # read as "lower than"
            fits.insert(0, ways.Fit("set", sure=True, slots={"new": (start + 2, end)}))
        if found.tokens[start - 1].lower == "same" and start:
            fits.insert(0, ways.Fit("same", sure=False, slots={"target": (start, end)}))
        if kind in {"remove", "exclude", "add", "or", "include"}:
            fits.insert(-1, ways.Fit(kind, sure=False, slots={"target": (start, end), "new": (start, end)}))
        for fit in fits:
            if self.left <= 0:
                return None
            self.left -= 1
            parts = {name: desk.part(*at) for name, at in fit.slots.items()}
            if fit.kind == "exclude" and "but" in {token.lower for token in found.tokens[slice(*fit.slots["new"])]}:
                continue  # two changes
            ends = [at for slot in fit.slots.values() for at in slot]
            idiom = any(0 < at < end and found.sentence.spans[at - 1] == found.sentence.spans[at] for at in ends)
            if fit.kind == "undo" or idiom or any(_cuts(one, at, desk) for one in found.quantities for at in ends):
                continue  # of a whole message only · inside of words read as others · "no" is of a comparison: "no more than 10 orders"
            if fit.kind == "rename" and any(one.start == start and one.share == 1 for one in found.fields):
                continue  # a property is called so
            if fit.kind == "rename":
                return Done((desk.definition,), fit.kind, start, end, name=_name(parts["name"]))
            best = self._made(desk, fit, parts)
            if best:
                made = tuple({meaning(one.definition): one.definition for one in best}.values())
                return Done(made, fit.kind, start, end, sure=all(one.sure for one in best))
        return None

    def _made(self, desk: Desk, fit: ways.Fit, parts: Mapping[str, Part]) -> tuple[Made, ...]:
        if fit.kind == "bare" and _is_anew(desk, parts["new"]):
            return ()
        try:
            found = [one for one in KINDS[fit.kind](desk, parts) if _holds(one.definition, desk)]
        except Unfit as error:
            self.left = 0 if error.final else self.left
            if fit.sure or error.final:
                self.wrong.append((str(error), None))
            return ()
        except OverflowError:  # a number that no window can have
            return ()
        if not found and any(said.place and said.condition for said in map(spoken, parts.values())):
            self.left = 0  # it was said which: no other one is tried
        if not found and fit.sure:
            self.wrong.append(("", parts.get("new") or parts.get("target")))
        return _best(found)


def _keeps(before: Definition, after: Definition, last: Definition) -> bool:
    """Return whether the values that one step named are still there after the last: "Canada and the US" are no two steps."""
    old, new, kept = (_values(one) for one in (before, after, last))
    return new - old <= kept


def _values(definition: Definition) -> set[str]:
    return {
        f"{one.test.property} {value}"
        for place in places(definition)
        for one in tests_of(place.node)
        for value in one.values
    }


def _cuts(one: QuantityAnchor, at: int, desk: Desk) -> bool:
    """Return whether a slot begins or ends inside of a comparison; "bump that up to 10", "3 to 5" are read so."""
    if not one.start < at < one.end:
        return False
    tokens = desk.found.tokens
    return not (
        {token.lower for token in tokens[one.start : at]} <= _BEFORE
        or tokens[at].lower in {"to", "-"}
        or tokens[at - 1].lower in {"to", "-"}
    )


def _best(found: Sequence[Made]) -> tuple[Made, ...]:
    top = max((one.rank for one in found), default=0.0)
    return tuple(one for one in found if one.rank == top)


def _holds(definition: Definition, desk: Desk) -> bool:
    """Return whether the language takes a definition, and some people can be in it, if any could before."""
    try:
        decode(msgspec.json.decode(msgspec.json.encode(definition)))
    except InvalidDefinition:
        return False
    found, before = (len(lint(one, as_of=desk.as_of, timezone=desk.timezone)) for one in (definition, desk.definition))
    return found <= before


def _is_anew(desk: Desk, part: Part) -> bool:
    """Return whether words without a verb of change are an audience of their own: with a subject, or of several conditions."""
    tokens = part.found.tokens
    start = (part.span & -part.span).bit_length() - 1
    if any(ways.is_part(token.stem, "subject") for token in tokens[start : start + 3]) and tokens[
        start
    ].lower not in ways.words("pointing"):
        return True
    return _is_many(desk, part)


def _is_many(desk: Desk, part: Part) -> bool:
    """Return whether words are several conditions at once, or one thing after another."""
    start = (part.span & -part.span).bit_length() - 1
    found = desk.audiences(part.text)
    if part.found.tokens[start].lower in ways.words("pointing") or not found or part.content & ~_mentioned(part) == 0:
        return False
    nodes = found[0].definition.conditions
    many = len(nodes) > 1 and not all(isinstance(node, UserProperty) for node in nodes)
    return many or any(isinstance(node, EventSequence) for node in nodes)


def _mentioned(part: Part) -> int:
    made = 0
    for one in (*part.windows, *part.quantities, *part.values):
        made |= one.mask
    return made


def read_edit(
    text: str, base: Base, catalog: Catalog, as_of: datetime, timezone: str
) -> Edited | Asked | Refused | None:
    """Return what *base* is after the change that *text* asks for; None where it asks for none."""
    if len(text) > LONGEST:
        return None
    try:
        definition = decode(base.definition)
    except InvalidDefinition:
        return None
    found = find(text, names_of(catalog), as_of, timezone)
    tokens = found.tokens
    orders = ways.begins(found, "orders") and bool(found.segments)
    if (
        not tokens
        or orders
        or ways.begins(found, "anew")
        or (ways.begins(found, "asking") and not ways.begins(found, "about"))
    ):
        return None
    memory: dict[str, Any] = {}

    def again(on: Definition) -> Desk:
        return Desk(found, on, as_of, timezone, memory)

    desk = again(definition)
    start, end = ways.lead(found, 0, len(tokens)), len(tokens)
    if any(fit.kind == "undo" for fit in ways.fits(found, start, ways.tail(found, start, end))):
        return _undone(base, definition, catalog, found)
    whole = desk.part(start, end)
    if {fit.kind for fit in ways.fits(found, start, ways.tail(found, start, end))} <= {
        "bare",
        "who",
        "swap",
    } and _is_many(desk, whole):
        return None
    trial = _Trial(again, definition)
    done = trial.steps(desk, _said_before(found), end, "", _STEPS)
    if done is None:
        return _refused(trial, desk)
    return _outcome(base, definition, done, catalog, found)


def _said_before(found: Anchors) -> int:
    """Return where what is asked begins: behind sentences that mention nothing of what there is."""
    told = union((*found.windows, *found.quantities, *found.values, *found.fields, *found.segments, *found.metrics))
    start = 0
    for first, last in sentences(found.tokens)[:-1]:
        if any(told >> at & 1 or found.evidence[at] for at in range(first, last)):
            break
        start = last + 1
    return start


def added(base: Base, more: Drafted, catalog: Catalog) -> Edited:
    """Return what *base* is with all that another audience asks for besides."""
    before = decode(base.definition)
    conditions = more.definition.conditions if more.definition.logic == "AND" else [as_one(more.definition)]
    after = joined(before, conditions, "AND")
    out = more.definition.exclude
    return _edited(base, before, excluding(after, out.conditions) if out else after, "", (), catalog)


def _outcome(
    base: Base, before: Definition, done: Sequence[Done], catalog: Catalog, found: Anchors
) -> Edited | Asked | Refused:
    *first, last = done
    name = next((one.name for one in done if one.name), "")
    notes = tuple(note for _, note in found.sentence.notes)
    made = [
        _edited(
            base,
            before,
            after,
            name,
            notes,
            catalog,
            _read(found, before, [*first, structs.replace(last, made=(after,))], catalog),
        )
        for after in last.made
    ]
    if len(made) == 1 and made[0].definition == before and not name:
        return Refused("That is how the draft is already.")
    if len(made) == 1 and all(one.sure for one in done):
        return made[0]
    labels = [_label(before, one, catalog) for one in made]
    return Asked(
        "Which of these do you mean?" if len(made) > 1 else "Do you mean this?",
        tuple(Choice(label, one) for label, one in zip(labels, made, strict=True))[:_OPTIONS],
    )


def _edited(
    base: Base,
    before: Definition,
    after: Definition,
    name: str,
    notes: tuple[str, ...],
    catalog: Catalog,
    reading: tuple[Told, ...] = (),
) -> Edited:
    names = _names(catalog)
    written = document(base.definition, before, after)
    keeps = bool(name) or base.named or base.segment_id is not None or after == before
    called = name or (base.name if keeps and base.name else entitle(after, names))
    assumed = tuple(one for one in base.assumptions if _still(one, before, after, names))
    told = tuple(dict.fromkeys((*assumed, *notes)))
    return Edited(
        after, called, 1.0, reading, told, bool(name) or base.named, written, difference(base.definition, written), _told(before, after, names)
    )  # fmt: skip


def _still(assumption: str, before: Definition, after: Definition, names: Mapping[int, str]) -> bool:
    """Return whether what was assumed is still so: no number or name of it has gone from the definition."""
    old, new = (f"{describe(one, names)} {msgspec.json.encode(one).decode()}" for one in (before, after))
    words = {word.strip(".,;:“”\"'()`") for word in assumption.split()}
    marks = {word for word in words if any(char.isdigit() for char in word) or word[:1].isupper() or "_" in word}
    return not any(word and word in old and word not in new for word in marks)


def _told(before: Definition, after: Definition, names: Mapping[int, str]) -> tuple[str, ...]:
    said: list[str] = []
    for one in changes(before, after, names):
        was, now = one.before_words or "", one.after_words or ""
        out = " to those left out" if one.pointer.startswith("/exclude") else ""
        match one.change:
            case "added":
                said.append(f"Added{out}: {now}.")
            case "removed":
                said.append(f"Taken away: {was}.")
            case "changed":
                said.append(f"Changed: {was} is now: {now}.")
            case "moved":
                pass
    return tuple(said)


def _read(found: Anchors, before: Definition, done: Sequence[Done], catalog: Catalog) -> tuple[Told, ...]:
    """Return which words changed which conditions of the last definition; what took some away is about all of it."""
    final = msgspec.json.decode(msgspec.json.encode(done[-1].made[0]))
    parts: list[Told] = []
    for step in done:
        after = step.made[0]
        pointers = tuple(
            one.pointer for one in changes(before, after, _names(catalog)) if one.change in {"added", "changed"}
        )
        there = tuple(
            dict.fromkeys(one for one in pointers if jsonpointer.resolve_pointer(final, one, None) is not None)
        )
        first, last = found.sentence.spans[step.start][0], found.sentence.spans[step.end - 1][1]
        parts.append(Told(found.sentence.text[first:last], first, last, there or ("",)))
        before = after
    return tuple(parts)


def _label(before: Definition, one: Edited, catalog: Catalog) -> str:
    found = changes(before, one.definition, _names(catalog))
    said = [one.after_words for one in found if one.after_words and one.change in {"added", "changed"}]
    whole = before.logic != one.definition.logic or len(said) != 1
    return describe(one.definition, _names(catalog)) if whole else str(said[0])


def _refused(trial: _Trial, desk: Desk) -> Refused | None:
    """Return why what was surely a change could not be made; none where it need not be one."""
    if not trial.wrong:
        return None
    reason, part = trial.wrong[0]
    if part is None:
        return Refused(reason)
    understood = desk.understood(part.text)
    words = (
        unplaced(understood.found, understood.readings, left_of)
        if understood and understood.readings
        else (Unplaced(part.text, "nothing here has this name"),)
    )
    told = ", ".join(f"“{one.text}”" for one in words)
    return Refused(f"I could not place {told} in this change of the draft, so nothing was changed.", words)


def _undone(base: Base, definition: Definition, catalog: Catalog, found: Anchors) -> Edited | Refused:
    if base.earlier is None:
        return Refused(
            "I do not see an earlier version of this draft. Tell me what it should be, for example: make it 5."
        )
    earlier = decode(base.earlier.definition)
    made = _edited(
        base,
        definition,
        earlier,
        base.earlier.name,
        (),
        catalog,
        (Told(found.sentence.text, 0, len(found.sentence.text), ("",)),),
    )
    kept: Json = base.earlier.definition
    return structs.replace(
        made,
        document=kept,
        patch=difference(base.definition, kept),
        assumptions=base.earlier.assumptions,
        named=base.earlier.named,
    )


def _name(part: Part) -> str:
    """Return a name as it was typed, all of it, whatever its words are read as."""
    bits = [at for at in range(len(part.found.tokens)) if part.span >> at & 1]
    spans = part.found.sentence.spans
    text = part.found.sentence.text[spans[bits[0] - 1][1] : spans[bits[-1]][1]].strip(" :=\"'“”.")
    return text[:1].upper() + text[1:]


def _names(catalog: Catalog) -> Mapping[int, str]:
    return {number: one.name for number, one in catalog.segments.items()}
