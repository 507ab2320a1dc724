"""What a condition says becomes something else: its number, its time span, its values, its event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from segment_copilot.english.edits import clauses, events, measures, patches
from segment_copilot.english.edits.fragments import Fragment, sort_fragment
from segment_copilot.english.edits.grammar import divided, names_of
from segment_copilot.english.edits.listed import Valued, spelled, told_field, valued
from segment_copilot.english.edits.logic import read_logic
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.people import speaks_of_people
from segment_copilot.english.edits.sheet import Sheet
from segment_copilot.english.edits.spots import Json, Spot, event_types, spots
from segment_copilot.english.edits.steps import Step
from segment_copilot.english.edits.targets import Target
from segment_copilot.english.edits.which import Unsure, handle, in_words
from segment_copilot.english.plan import Option
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE


def set_to(sheet: Sheet, step: Step) -> list[Op]:
    """Of "the order threshold to 5", "5 orders", "France": what is named becomes what is new."""
    if (turned := read_logic(sheet, step.words)) is not None:
        return turned
    reasons: list[Unfit] = []
    for left, right in divided(step.words, changing=step.verb in _CHANGING):
        target, found = sheet.meant(left)
        if left and target.part == "name" and not target.words:
            return rename(sheet, step)
        if left and (replaced := _from(sheet, left, right)) is not None:
            return replaced
        if left and not found:
            if sort_fragment(right, sheet.today).bare:
                reasons.insert(0, sheet.missing(left))
            continue
        if target.part == "logic" and (turned := read_logic(sheet, right)) is not None:
            return turned
        try:
            return become(sheet, step, target if left else Target(), found, right, split=bool(left))
        except Unfit as error:
            reasons.append(error)
    raise reasons[0]


def become(
    sheet: Sheet, step: Step, target: Target, found: Sequence[Spot], new: Sequence[Token], *, split: bool
) -> list[Op]:
    """What *target* means becomes what *new* says."""
    said = sort_fragment(new, sheet.today)
    if said.rated:
        raise Unfit(
            "A rate cannot be put into a condition of the draft; say for example 'at least 8 times in the last 30 days'."
        )
    if step.joined and (bound := _other_bound(sheet, said)) is not None:
        return bound
    if said.bare and target.open and not split:
        _ask_of_age(sheet, said)
    if said.bare and not (said.quantity and (speaks_of_people(new) or _of_age(new))):
        return measures.set_measures(found, target, said, sheet.choose)
    if (opened := _any_value(sheet, new)) is not None:
        return opened
    if one := one_valued(sheet, new, found, "change {} to " + said.text):
        return other_values(sheet, one, step)
    if (narrowed := _narrowed(sheet, said, found)) is not None:
        return narrowed
    if (event := events.event_named(said, sheet.index)) and (split or step.instead or step.verb in _COUNTING):
        return other_event(sheet, target, found, said, event)
    if (made := _filter(sheet, step, new, found, named=bool(target.words))) is not None:
        return made
    if split and not target.open:
        told_field(new, found, sheet.index)
        return replace_whole(sheet, found, new)
    return lay(sheet, new, step)


def one_valued(sheet: Sheet, tokens: Sequence[Token], found: Sequence[Spot], around: str) -> Valued | None:
    """The one spot of which the phrase spells values."""
    read = valued(tokens, found, sheet.index)
    included = [one for one in read if not one.spot.excluded] or list(read)
    whole = [one for one in included if one.spot.whole] or included
    if not whole:
        return None
    spot = sheet.choose([one.spot for one in whole], around)
    return next(one for one in whole if one.spot.pointer == spot.pointer)


def other_values(sheet: Sheet, one: Valued, step: Step) -> list[Op]:
    """Values in the place of those tested for, or on top of them."""
    if step.also and step.mode != "only":
        return more_values(sheet, one)
    if one.spot.negative and step.mode == "only":
        return patches.joined(sheet.definition, _test(one), "AND")
    return patches.set_values(one.spot, one.values)


def _test(one: Valued) -> Json:
    plain = {"user_property": {"type": "user_property"}}.get(one.spot.kind, {})
    many = len(one.values) > 1
    test = {"property": one.spot.path, "operator": "in" if many else "eq"}
    return {**plain, **test, "value": list(one.values) if many else one.values[0]}


def more_values(sheet: Sheet, one: Valued) -> list[Op]:
    """Values on top of those tested for."""
    if not one.spot.whole:
        sheet.notes.append(f"either value of `{one.spot.path}` is enough")
    return patches.add_values(one.spot, one.values)


def _narrowed(sheet: Sheet, said: Fragment, among: Sequence[Spot]) -> list[Op] | None:
    """Of "5 orders in 30 days", "the window 60 days": measures for what the other words name."""
    if not (said.quantities or said.windows or said.operator) or (said.quantity and said.quantity.none):
        return None
    target, found = sheet.meant(said.words)
    inside = {spot.pointer for spot in among}
    fits = [spot for spot in found if spot.pointer in inside and (spot.slot or spot.span or spot.may_span)]
    if target.open or not fits or _other_metric(said, fits) or _another(sheet, said, fits):
        return None
    return measures.set_measures(fits, target, said, sheet.choose)


def _other_bound(sheet: Sheet, said: Fragment) -> list[Op] | None:
    """Of "but no more than 10": the other end of a number that has one; None for anything else."""
    number = said.quantity
    if number is None or number.bare or said.windows:
        return None
    target, found = sheet.meant(said.content)
    numbers = measures.numbered(found, target, number)
    if (
        len(numbers) != 1
        or not numbers[0].whole
        or {str(numbers[0].node.get("operator", "gte"))[:2], number.operator[:2]} != {"gt", "lt"}
    ):
        return None
    bounded = {**numbers[0].condition, "operator": number.operator, "value": number.value}
    return patches.joined(sheet.definition, bounded, "AND")


def _ask_of_age(sheet: Sheet, said: Fragment) -> None:
    """Of "over 18" where the draft has a number: that, or the age? Raises Unsure."""
    number = said.quantity
    if (
        number is None
        or number.bare
        or number.currency
        or number.times
        or not said.tokens
        or said.tokens[0].lower not in {"over", "under", "above", "below"}
    ):
        return
    counted = measures.numbered(sheet.spots, Target(), number)
    try:
        read = clauses.read_clause(said.tokens, sheet.index, sheet.today)
    except Unfit:
        return
    aged = [one for one in read.conditions if one["type"] == "user_property"]
    if not counted or not counted[0].told or len(aged) != 1 or len(read.conditions) != 1:
        return
    if any(spot.path == aged[0]["property"] for spot in counted):
        return
    options = (
        Option(f"{said.text}: {sheet.told(counted[0])}", f"set the number of {handle(counted[0])} to {said.text}"),
        Option(f"Only people {in_words(aged[0], sheet.index)}", f"keep only people {said.text} years old"),
    )
    raise Unsure(f"What should be {said.text}?", options, "{}")


def _of_age(tokens: Sequence[Token]) -> bool:
    return any(token.lower in {"older", "younger", "old", "aged", "age"} for token in tokens)


def _any_value(sheet: Sheet, new: Sequence[Token]) -> list[Op] | None:
    """Of "any country", "all categories": the property is not tested any more."""
    if not new or new[0].lower not in {"any", "all", "every", "each"}:
        return None
    target, found = sheet.meant(new[1:])
    tested = [spot for spot in found if spot.values]
    if not target.words or not tested or any(one.values for one in valued(new[1:], tested, sheet.index)):
        return None
    return sheet.gone([spot.pointer for spot in tested if spot.path == tested[0].path])


_METRICS: Final = {
    "average": "avg",
    "avg": "avg",
    "mean": "avg",
    "median": "median",
    "highest": "max",
    "lowest": "min",
    "biggest": "max",
}


def _other_metric(said: Fragment, fits: Sequence[Spot]) -> bool:
    """Whether the words name another aggregate than the draft's: "average payment over 40" for a sum."""
    named = {_METRICS[word.lower] for word in said.words if word.lower in _METRICS}
    return bool(named) and not any(spot.node.get("metric") in named for spot in fits)


def _another(sheet: Sheet, said: Fragment, fits: Sequence[Spot]) -> bool:
    """Whether the words say more than a measure: a filter ("orders over $50"), or another sum ("average order value over 80")."""
    if said.quantity is None:
        return False
    try:
        read = clauses.read_clause(said.tokens, sheet.index, sheet.today)
    except Unfit:
        return False
    tests = [test for one in read.conditions for test in one.get("where", [])]
    if any(test.get("value") == said.quantity.value for test in tests):
        return True
    summed = [one for one in read.conditions if one["type"] == "monetary"]
    return bool(summed) and not any(clauses.same_subject(one, fits) for one in summed)


def other_event(sheet: Sheet, target: Target, found: Sequence[Spot], said: Fragment, event: events.Named) -> list[Op]:
    """Another event in a condition; its number and time span stay."""
    able = [spot for spot in found if spot.whole and spot.event_types and event.name not in spot.event_types]
    if not able:
        raise Unfit("That is how the draft is already." if found else "No condition of the draft looks at an event.")
    shown = [spot for spot in able if not spot.negative and not spot.excluded] or able
    spot = sheet.choose(shown if target.open else able, f"change {{}} to {said.text}")
    made, note = events.other_event(spot, event)
    sheet.notes += [note] if note else []
    rest = measures.set_measures([spot], Target(), said, sheet.choose) if said.quantities or said.windows else []
    return [*made, *rest]


def replace_whole(sheet: Sheet, found: Sequence[Spot], new: Sequence[Token]) -> list[Op]:
    """Another condition in the place of one."""
    clause = clauses.read_clause(new, sheet.index, sheet.today)
    sheet.notes += clause.notes
    spot = sheet.choose([spot for spot in found if spot.whole] or found, f"change {{}} to {written(new)}")
    condition = clause.one() if clause.conditions else None
    if condition is None:
        raise Unfit(f"I cannot put {written(new)!r} in the place of a condition.")
    if spot.kind == condition["type"] == "segment_membership":
        return patches.put(spot.condition, spot.home, {"segment_id": condition["segment_id"]})
    return [] if dict(spot.condition) == dict(condition) else [{"op": "replace", "path": spot.home, "value": condition}]


def lay(sheet: Sheet, tokens: Sequence[Token], step: Step) -> list[Op]:
    """A clause laid over the draft, or put beside what it says."""
    clause = clauses.read_clause(tokens, sheet.index, sheet.today)
    sheet.notes += [note for note in clause.notes if not note.endswith("times") and " is read as at least " not in note]
    fresh = [one for one in clause.conditions if not clauses.there(one, sheet.spots)]
    if not fresh and not clause.excluded:
        return []
    if step.instead and (other := _in_place(sheet, clause)) is not None:
        return other
    if step.also or (step.mode == "add" and step.verb != "with"):
        return put_beside(sheet, clause)
    return clauses.laid_over(sheet.definition, clause, sheet.choose)


def _in_place(sheet: Sheet, clause: clauses.Clause) -> list[Op] | None:
    """Of "spent over 300 instead": in the place of the condition about the same event, or of the only one."""
    if len(clause.conditions) != 1 or clauses.same_subject(clause.conditions[0], sheet.spots):
        return None
    condition = clause.conditions[0]
    whole = [spot for spot in sheet.spots if spot.whole and not spot.excluded]
    kind = [spot for spot in whole if spot.kind == condition["type"]]
    about = [spot for spot in whole if spot.event_types and spot.event_types == event_types(condition)]
    spot = sheet.choose(about or kind or whole, f"change {{}} to {clause.fragment.text}")
    return [{"op": "replace", "path": spot.home, "value": condition}]


def put_beside(sheet: Sheet, clause: clauses.Clause) -> list[Op]:
    """Each condition of a clause beside those that are there."""
    made: list[Op] = []
    parts = [clause.one()] if clause.logic == "OR" else clause.conditions
    now = sheet.definition
    for condition in parts:
        if not clauses.there(condition, spots(now)):
            denied = clauses.Clause((condition,), "AND", (), (), clause.fragment)
            more = clauses.widened(now, condition)
            if not more and clauses.denies(now, condition):
                more = clauses.laid_over(now, denied, sheet.choose)
            more = more or patches.joined(now, condition, "AND")
            made += more
            now = patches.applied(now, more)
    return [*made, *patches.excluded(now, clause.excluded)] if clause.excluded else made


def rename(sheet: Sheet, step: Step) -> list[Op]:
    """Another name; the definition stays."""
    sheet.name = names_of(sheet.text, step.words)[:80].strip()
    if not sheet.name:
        raise Unfit("Say the new name, for example: rename it to Big spenders.")
    return []


def move(sheet: Sheet, step: Step) -> list[Op]:
    """Raise or lower: "to 5", "by 2", "by 20 %"."""
    down = step.mode == "down"
    for left, right in divided(step.words):
        target, found = sheet.meant(left)
        if left and found and right:
            said = sort_fragment(right, sheet.today)
            if said.bare:
                return measures.set_measures(found, target, said, sheet.choose)
    cut = next((at for at, token in enumerate(step.words) if token.lower == "by"), None)
    if cut is None and all(token.lower in _A_BIT or token.stem in NOISE for token in step.words):
        raise Unfit(
            "Say what should change and to what, for example: at least 5 orders, in the last 30 days, only in Spain."
        )
    if cut is None:
        return set_to(sheet, step)
    target, found = sheet.meant(step.words[:cut])
    factor, said = _share(step.words[cut + 1 :], down=down)
    more = sort_fragment(said, sheet.today) if said else None
    if more is not None and not more.bare:
        raise Unfit("Say by how much, for example: by 2, by 10 days, by 20 %.")
    return measures.scale(found, target, factor, more, sheet.choose)


def multiply(sheet: Sheet, step: Step) -> list[Op]:
    """Of "double it"."""
    target, found = sheet.meant(step.words)
    return measures.scale(found, target, step.factor, None, sheet.choose)


def _share(tokens: Sequence[Token], *, down: bool) -> tuple[float, Sequence[Token]]:
    """The factor of "20 %" and "half"; a negative one (of 1) subtracts what the other tokens say."""
    lowers = [token.lower for token in tokens]
    percent = any(word in {"%", "percent", "per cent"} for word in lowers)
    if percent and tokens[0].kind in {"number", "percent"}:
        share = tokens[0].value / 100
        return (1 - share if down else 1 + share), ()
    if lowers[:1] == ["half"]:
        return (0.5 if down else 1.5), ()
    return (-1 if down else 1), tokens


_CHANGING: Final = {"change", "switch", "turn", "adjust", "update", "modify", "move", "correct", "fix", "edit"}
_A_BIT: Final = {
    "bit",
    "little",
    "lot",
    "more",
    "less",
    "much",
    "slightly",
    "somewhat",
    "further",
    "audience",
    "segment",
    "draft",
}
_COUNTING: Final = {
    "use",
    "count",
    "look at",
    "consider",
    "go with",
    "instead use",
    "base it on",
    "switch",
    "try",
    "take",
}


def _from(sheet: Sheet, left: Sequence[Token], right: Sequence[Token]) -> list[Op] | None:
    """Of "change 60 days to 90 days", "the window from 30 to 60 days": the old measure says which one is meant."""
    cut = next((at for at, token in enumerate(left) if token.lower == "from"), None)
    old = sort_fragment(left[cut + 1 :] if cut is not None else left, sheet.today)
    new = sort_fragment(right, sheet.today)
    if not old.bare or not new.bare or (old.operator and not new.operator):
        return None
    target, found = sheet.meant(left[:cut]) if cut else (Target(), sheet.spots)
    old = measures.in_unit_of(old, new)
    matched = measures.saying(found, old)
    if not matched and old.quantity and new.quantity and (spans := measures.with_count(found, old.quantity.value)):
        return measures.set_measures(spans, Target(part="window", several=True), new, sheet.choose)
    if not matched and old.quantity and new.quantity and cut is None:
        return None  # it may be a range: "change it to 2 to 5"
    if not matched:
        raise Unfit(f"Nothing in the draft says {old.text!r}. {sheet.what_is_there()}")
    part = "window" if old.windows else target.part
    return measures.set_measures(matched, Target(part=part, several=bool(old.windows)), new, sheet.choose)


def _filter(sheet: Sheet, step: Step, new: Sequence[Token], found: Sequence[Spot], *, named: bool) -> list[Op] | None:
    """Of "only shoes", "make it mobile": a value that only an event of the draft can have, as a filter of it."""
    if step.mode not in {"set", "only", "bare"} or (new and new[0].lower in {"in", "from", "who", "living", "aged"}):
        return None
    traits = [field for field in sheet.index.traits if not field.listed and spelled(new, (field,))[0]]
    able: list[tuple[Spot, Json]] = []
    for spot in found:
        known = [one for one in sheet.index.events if one.name in spot.event_types] if spot.whole else []
        for field in (field for one in known for field in one.fields):
            values, _ = spelled(new, (field,))
            if values and clauses.filterable(spot.condition):
                one = (
                    {"operator": "eq", "value": values[0]}
                    if len(values) == 1
                    else {"operator": "in", "value": list(values)}
                )
                able.append((spot, {"property": field.path, **one}))
    shown = [pair for pair in able if not pair[0].negative and not pair[0].excluded] or able
    if (traits and not named) or not shown:
        return None
    spot = sheet.choose([pair[0] for pair in shown], f"make {{}} {written(new)}")
    return clauses.filtered(spot, [test for one, test in shown if one.pointer == spot.pointer][:1])
