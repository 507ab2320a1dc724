"""What comes on top: one more condition, another way into the audience, people who were left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from segment_copilot.english.edits import clauses, measures, patches
from segment_copilot.english.edits.fragments import sort_fragment
from segment_copilot.english.edits.listed import valued
from segment_copilot.english.edits.logic import read_logic
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.people import speaks_of_people, without_subject
from segment_copilot.english.edits.setting import become, lay, more_values, one_valued
from segment_copilot.english.edits.sheet import Sheet, each
from segment_copilot.english.edits.spots import Json, Spot
from segment_copilot.english.edits.steps import Step
from segment_copilot.english.edits.targets import Target
from segment_copilot.english.edits.which import Unsure, handle, in_words
from segment_copilot.english.plan import Option
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.lexicon import stems

_NEVER: Final = {"never", "not", "no", "none"}


def narrow(sheet: Sheet, step: Step) -> list[Op]:
    """Of "keep only the country condition": drop the others; else what is said narrows the audience."""
    target, found = sheet.meant(step.words)
    if target.condition and found and step.verb.startswith(("keep", "only keep", "only")):
        kept = {spot.home for spot in found}
        others = [spot.home for spot in sheet.spots if spot.whole and not spot.excluded and spot.home not in kept]
        return sheet.gone(others)
    if (turned := read_logic(sheet, step.words)) is not None:
        return turned
    named = step.verb.startswith(("keep", "only keep")) or (
        step.verb in {"only", "just"} and _names_traits(sheet, step.words)
    )
    if named and (kept := _kept(sheet, step.words)):
        return kept
    for at, token in enumerate(step.words):
        named, among = sheet.meant(step.words[:at])
        if token.lower in {"to", "of", "by"} and at and among and at + 1 < len(step.words):
            return become(sheet, step, named, among, step.words[at + 1 :], split=False)
    return become(sheet, step, Target(), sheet.spots, _exactly(step), split=False)


def _exactly(step: Step) -> tuple[Token, ...]:
    """Of "only one order": exactly one."""
    first = step.words[0] if step.words else None
    counted = first is not None and first.kind == "number" and len(step.words) > 1 and step.words[1].stem not in _UNITS
    return (word("exactly"), *step.words) if counted and step.verb in {"only", "just"} else step.words


_UNITS: Final = stems("day week month quarter year hour minute")


def _names_traits(sheet: Sheet, tokens: Sequence[Token]) -> bool:
    """Whether the words name a trait of the draft and no value of it: "just the country"."""
    target, found = sheet.meant(tokens)
    return (
        bool(target.words)
        and all(spot.kind == "user_property" for spot in found)
        and bool(found)
        and not sort_fragment(tokens, sheet.today).quantities
    )


def _kept(sheet: Sheet, tokens: Sequence[Token]) -> list[Op]:
    """Of "keep just the country and the spend": all conditions but these go; nothing where a part names no condition."""
    meant = [sheet.meant(part) for part in each(tokens)]
    if not all(target.words and found and not valued(target.words, found, sheet.index) for target, found in meant):
        return []
    kept = {spot.home for _, found in meant for spot in found}
    return sheet.gone([spot.home for spot in sheet.spots if spot.whole and not spot.excluded and spot.home not in kept])


def add(sheet: Sheet, step: Step) -> list[Op]:
    """One more condition, one more value, or "10 more days"."""
    said = sort_fragment(step.words, sheet.today)
    if said.bare and step.verb in {"add", "plus"} and (said.quantity is None or said.quantity.bare):
        if said.window is not None and (said.window.lead or said.window.rolling or said.window.kind != "last"):
            return measures.set_measures(sheet.spots, Target(), said, sheet.choose)
        return measures.scale(sheet.spots, Target(), 1, said, sheet.choose)
    if said.quantity is not None and step.joined:
        return become(sheet, step, Target(), sheet.spots, step.words, split=False)
    if said.bare:
        return measures.set_measures(sheet.spots, Target(), said, sheet.choose)
    if (
        one := one_valued(
            sheet, step.words, [spot for spot in sheet.spots if not spot.negative], "add to {}: " + said.text
        )
    ) and not one.spot.excluded:
        return more_values(sheet, one)
    if step.verb in {"add", "and", "plus"} and speaks_of_people(step.words):
        _ask_how(sheet, step)
    return lay(sheet, without_subject(step.words), step)


def _ask_how(sheet: Sheet, step: Step) -> None:
    """Of "add people who opened an email": they, too, or only they?"""
    said = without_subject(step.words)
    clause = clauses.read_clause(said, sheet.index, sheet.today)
    words = " and ".join(in_words(condition, sheet.index) for condition in clause.conditions)
    options = (
        Option(
            f"Also everybody {words}: the audience grows", f"include {written(step.words)} too", "the audience grows"
        ),
        Option(f"Only those of the audience {words}", f"keep only {written(step.words)}", "the audience shrinks"),
    )
    if step.also:
        return
    raise Unsure("Should the audience grow by these people, or shrink to them?", options, "{}")


def either(sheet: Sheet, step: Step) -> list[Op]:
    """Another value, another case of a condition, or another way into the audience."""
    open_spots = [spot for spot in sheet.spots if not spot.excluded and not spot.negative]
    if one := one_valued(sheet, step.words, open_spots, f"or {written(step.words)} in {{}}"):
        return more_values(sheet, one)
    if (turned := read_logic(sheet, (word("or"), *step.words))) is not None:
        return turned
    if {token.lower for token in step.words} <= _NEVER | {"at", "all", "ever"}:
        return _or_never(sheet)
    said = sort_fragment(step.words, sheet.today)
    if said.bare:
        raise Unfit("A number or time span cannot be an alternative; say what it should be instead.")
    at, words = _alternative(sheet, step.words)
    clause = clauses.read_clause(without_subject(words), sheet.index, sheet.today)
    sheet.notes += clause.notes
    return _alternatives(sheet, clause, at, words)


def _alternative(sheet: Sheet, tokens: Sequence[Token]) -> tuple[tuple[Spot, ...], Sequence[Token]]:
    """Of "as an alternative to condition 2: opened an email": the place, and what."""
    lowers = [token.lower for token in tokens]
    if lowers[:4] == ["as", "an", "alternative", "to"] and ":" in lowers:
        cut = lowers.index(":")
        _, found = sheet.meant(tokens[4:cut])
        return (() if lowers[4] == "everything" else found), tokens[cut + 1 :]
    return (), tokens


def _alternatives(sheet: Sheet, clause: clauses.Clause, at: Sequence[Spot], words: Sequence[Token]) -> list[Op]:
    condition = clause.one()
    if clauses.there(condition, sheet.spots):
        return []
    same = at or _related(sheet, condition)
    if same:
        return patches.beside(sheet.definition, same[0], condition)
    whole = cast("list[Any]", sheet.definition["conditions"])
    asked = sheet.text.lower().find("alternative to everything") >= 0
    if len(whole) == 1 or sheet.definition["logic"] == "OR" or asked:
        return patches.joined(sheet.definition, condition, "OR")
    last = [spot for spot in sheet.spots if spot.whole and not spot.excluded][-1]
    text = written(words)
    options = (
        Option(
            f"Everybody of the draft, and also those {in_words(condition, sheet.index)}",
            f"or as an alternative to everything: {text}",
        ),
        Option(
            f"An alternative to one condition: {sheet.told(last)}",
            f"or as an alternative to {handle(last)}: {text}",
        ),
    )
    raise Unsure("What should this be an alternative to?", options, "{}")


def _related(sheet: Sheet, condition: Json) -> tuple[Spot, ...]:
    """The one condition about the same event or trait, of which this is another case."""
    about = {
        name: condition.get(name)
        for name in ("event_type", "property")
        if name in condition and condition["type"] != "monetary"
    }
    found = [
        spot
        for spot in sheet.spots
        if spot.whole
        and not spot.excluded
        and about
        and all(spot.condition.get(name) == value for name, value in about.items())
    ]
    return tuple(found[:1]) if len(found) == 1 else ()


def _or_never(sheet: Sheet) -> list[Op]:
    found = [
        spot
        for spot in sheet.spots
        if spot.kind in {"recency", "event_time", "event_count"}
        and spot.whole
        and not spot.excluded
        and not spot.negative
    ]
    late = [spot for spot in found if spot.kind == "recency"] or found
    if not late:
        raise Unfit("No condition of the draft is about something that was done.")
    spot = sheet.choose(late, "or never in {}")
    fields = {name: spot.condition[name] for name in ("event_type", "where") if name in spot.condition}
    return patches.beside(sheet.definition, spot, {"type": "event_count", **fields, "operator": "eq", "value": 0})


def include(sheet: Sheet, step: Step) -> list[Op]:
    """Take people back in, or take more people in."""
    target, found = sheet.meant(step.words)
    left_out = [spot for spot in found if spot.excluded and spot.whole]
    if left_out and not target.open:
        return sheet.gone([spot.home for spot in left_out])
    if (
        step.words
        and not speaks_of_people(step.words)
        and not step.also
        and not valued(step.words, sheet.spots, sheet.index)
    ):
        clause = clauses.read_clause(step.words, sheet.index, sheet.today)
        if any(one["type"] == "segment_membership" for one in clause.conditions):
            return _either_whole(sheet, clause)
    if one := one_valued(
        sheet,
        without_subject(step.words),
        [spot for spot in sheet.spots if not spot.excluded],
        f"include {written(step.words)} in {{}}",
    ):
        return patches.drop_values(one.spot, one.values) if one.spot.negative else more_values(sheet, one)
    clause = clauses.read_clause(without_subject(step.words), sheet.index, sheet.today)
    sheet.notes += clause.notes
    return _either_whole(sheet, clause)


def _either_whole(sheet: Sheet, clause: clauses.Clause) -> list[Op]:
    """More people: another case of a condition about the same thing, else of the whole audience."""
    condition = clause.one()
    same = _related(sheet, condition)
    if clauses.there(condition, sheet.spots):
        return []
    if same:
        return patches.beside(sheet.definition, same[0], condition)
    return patches.joined(sheet.definition, condition, "OR")


def restore(sheet: Sheet, step: Step) -> list[Op]:
    """Of "stop excluding staff": take the exclusion away."""
    _, found = sheet.meant(step.words)
    left_out = [spot.home for spot in found if spot.excluded and spot.whole]
    if left_out:
        return sheet.gone(left_out)
    if step.verb == "keep":
        return narrow(sheet, step)
    negative = valued(step.words, [spot for spot in sheet.spots if spot.negative], sheet.index)
    if negative:
        one = negative[0]
        left = [value for value in one.spot.values if value not in one.values]
        return patches.drop_values(one.spot, one.values) if left else sheet.gone([one.spot.pointer])
    if step.verb in {"add back", "bring back", "put back"}:
        return include(sheet, step)
    raise Unfit(f"The draft does not leave out {written(step.words)!r}.")
