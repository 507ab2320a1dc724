"""What goes: conditions, values, limits and exclusions taken away, people left out."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from segment_copilot.english.edits import clauses, measures, patches
from segment_copilot.english.edits.fragments import Fragment, sort_fragment
from segment_copilot.english.edits.listed import Valued, valued
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.people import speaks_of_people, without_subject
from segment_copilot.english.edits.sheet import Sheet, each
from segment_copilot.english.edits.spots import Json, Spot, event_types
from segment_copilot.english.edits.steps import Step
from segment_copilot.english.edits.targets import CONDITION, Target
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import PEOPLE
from segment_copilot.language.operators import OPERATORS


def exclude(sheet: Sheet, step: Step) -> list[Op]:
    """Leave people out; of a value that the draft asks for, ask for the others."""
    words = step.words
    if step.verb == "ignore anyone" and not words:
        raise Unfit("Say whom to leave out.")
    positive = [spot for spot in sheet.spots if not spot.excluded and not spot.negative]
    plain = without_subject(words)
    for one in valued(plain, positive, sheet.index):
        left = [value for value in one.spot.values if value not in one.values]
        if len(left) < len(one.spot.values):
            return patches.drop_values(one.spot, one.values) if left else patches.turned(one.spot)
    if step.verb == "not" and (told := _not_so(sheet, words)):
        return told
    clause = clauses.read_exclusion(words, sheet.index, sheet.today)
    sheet.notes += clause.notes
    conditions = clause.conditions if clause.logic == "OR" else (clause.one(),)
    if not speaks_of_people(words) and (filtered := _filtered_out(sheet, conditions)):
        return filtered
    for condition in conditions:
        if asked := [spot for spot in positive if spot.whole and dict(spot.condition) == dict(condition)]:
            return patches.turned(asked[0])
    excluded = [spot for spot in sheet.spots if spot.excluded and spot.whole]
    if step.instead and len(conditions) == 1 and len(excluded) == 1:
        return [{"op": "replace", "path": excluded[0].home, "value": conditions[0]}]
    fresh = [one for one in conditions if not any(dict(spot.condition) == dict(one) for spot in excluded)]
    if not fresh:
        raise Unfit("These people are left out already.")
    return patches.excluded(sheet.definition, fresh)


def _not_so(sheet: Sheet, words: Sequence[Token]) -> list[Op]:
    """Of "not visited in 30 days" where the draft says for how long somebody did not visit; else nothing."""
    try:
        clause = clauses.read_clause((word("not"), *words), sheet.index, sheet.today)
    except Unfit:
        return []
    absent = all(clauses.absent_already(one, sheet.spots) for one in clause.conditions)
    return clauses.laid_over(sheet.definition, clause, sheet.choose) if absent and clause.conditions else []


def _filtered_out(sheet: Sheet, conditions: Sequence[Json]) -> list[Op]:
    """Of "ignore orders under $20": events of the draft that do not count, where nothing is said of people; else nothing."""
    one: Json = conditions[0] if len(conditions) == 1 else {}
    tests: list[Json] = one.get("where", [])
    plain = (one.get("operator"), one.get("value")) == ("gte", 1) and not {"window", "window_days"} & set(one)
    able = [
        spot
        for spot in sheet.spots
        if spot.whole and not spot.excluded and not spot.negative and clauses.filterable(spot.condition)
    ]
    same = [spot for spot in able if spot.event_types == event_types(one)]
    if len(tests) != 1 or not plain or not same:
        return []
    turned = OPERATORS[tests[0]["operator"]].opposite
    return clauses.filtered(sheet.choose(same, "filter {}"), [{**tests[0], "operator": turned}]) if turned else []


def without(sheet: Sheet, step: Step) -> list[Op]:
    """Of "without the trial part": take it away if it is there; of "without a coupon": leave these people out."""
    target, found = sheet.meant(step.words)
    if found and not target.open and not speaks_of_people(step.words):
        return remove(sheet, step)
    if target.condition or any(token.stem in CONDITION for token in step.words):
        return remove(sheet, step)
    try:
        return exclude(sheet, step)
    except Unfit:
        return remove(sheet, step)


def remove(sheet: Sheet, step: Step) -> list[Op]:
    """Take conditions, values, time spans, thresholds or exclusions away."""
    made: list[Op] = []
    parts = each(step.words)
    if len(parts) > 1 and not all(sheet.meant(part)[1] and not sheet.meant(part)[0].open for part in parts):
        parts = [step.words]
    for part in parts:
        now, sheet.definition = sheet.definition, patches.applied(sheet.definition, made) if made else sheet.definition
        try:
            made += _remove_one(sheet, part)
        finally:
            sheet.definition = now
    return made


def _remove_one(sheet: Sheet, tokens: Sequence[Token]) -> list[Op]:
    target, found = sheet.meant(tokens)
    wanted = valued(tokens, [spot for spot in found if spot.values] if found else sheet.spots, sheet.index)
    if wanted and not target.condition and not target.excluded:
        return _fewer(sheet, wanted)
    measured = sort_fragment(tokens, sheet.today)
    if measured.bare and not target.place:
        return _unmeasured(sheet, measured, target)
    if target.part == "window":
        return measures.without_span(found, target, sheet.choose)
    if target.excluded and not target.words and not target.place and "exclude" in sheet.definition:
        return [{"op": "remove", "path": "/exclude"}]
    if target.part == "number" and not target.condition and not target.place:
        return _unbounded(sheet, found, target)
    if not found and (left_out := _people(sheet, tokens, target)) is not None:
        return left_out
    if target.open or not found or (target.several and not target.words and not target.condition):
        sheet.not_there(tokens)
    return sheet.gone(_pointers(sheet, found, target))


def _unmeasured(sheet: Sheet, said: Fragment, target: Target) -> list[Op]:
    """Of "remove the 90 days", "drop the at least 3": the time span or threshold that says so."""
    matched = measures.saying(sheet.spots, said)
    if not matched:
        sheet.not_there(said.tokens)
    if said.windows:
        return measures.without_span(matched, structs.replace(target, several=True), sheet.choose)
    return _unbounded(sheet, matched, Target())


def _people(sheet: Sheet, tokens: Sequence[Token], target: Target) -> list[Op] | None:
    """Of "remove anyone in Churn Risk", "drop staff": people, not a condition; None for anything else."""
    if target.condition or target.part in {"window", "number"}:
        return None
    try:
        read = clauses.read_exclusion(tokens, sheet.index, sheet.today)
    except Unfit:
        return None
    named = any(one["type"] == "segment_membership" or one.get("where") for one in read.conditions)
    people = speaks_of_people(tokens) or (len(tokens) > 1 and tokens[-1].stem in PEOPLE)
    step = Step("exclude", tuple(tokens), verb="exclude", told=True)
    return exclude(sheet, step) if named or people else None


def _pointers(sheet: Sheet, found: Sequence[Spot], target: Target) -> list[str]:
    """What to take away: a whole condition if its event was named, else what tests the property."""
    tests = [spot for spot in found if not spot.whole]
    whole = [spot for spot in found if spot.whole]
    if target.condition and not whole:
        whole = [spot for spot in sheet.spots if spot.whole and spot.home in {test.home for test in tests}]
    meant = whole or tests
    alike = len({(spot.path, spot.kind, spot.event_types) for spot in meant}) == 1
    if len(meant) > 1 and not target.several and not (alike and meant[0].path):
        meant = [sheet.choose(meant, "remove {}")]
    return [spot.pointer for spot in meant]


def _fewer(sheet: Sheet, wanted: Sequence[Valued]) -> list[Op]:
    there = [one for one in wanted if all(value in one.spot.values for value in one.values)]
    if not there:
        raise Unfit(f"The draft does not test for {', '.join(map(str, wanted[0].values))}. {sheet.what_is_there()}")
    spot = sheet.choose([one.spot for one in there], "remove {}")
    one = next(item for item in there if item.spot.pointer == spot.pointer)
    left = [value for value in one.spot.values if value not in one.values]
    return patches.drop_values(one.spot, one.values) if left else sheet.gone([one.spot.pointer])


def _unbounded(sheet: Sheet, found: Sequence[Spot], target: Target) -> list[Op]:
    """Of "remove the minimum": at least once is enough."""
    counted = [spot for spot in measures.numbered(found, target, None) if spot.slot == "count" and spot.told]
    if not counted:
        sheet.not_there(())
    spot = sheet.choose(counted, "remove the threshold of {}")
    return patches.put(spot.node, spot.pointer, {"operator": "gte", "value": 1, "value2": None})


def negate(sheet: Sheet, step: Step) -> list[Op]:
    """Turn a condition into its opposite."""
    target, found = sheet.meant(step.words)
    whole = [spot for spot in found if spot.whole] or list(found)
    if not whole:
        sheet.not_there(step.words)
    del target
    return patches.turned(sheet.choose(whole, "flip {}"))
