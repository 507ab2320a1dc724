"""One thing in the place of another: "orders instead of visits", "Germany rather than Spain", "not last week, this month"."""

from __future__ import annotations

from collections.abc import Sequence

from segment_copilot.english.edits import events, measures, patches
from segment_copilot.english.edits.book import logic_of
from segment_copilot.english.edits.fragments import Fragment, sort_fragment
from segment_copilot.english.edits.listed import spelled, valued
from segment_copilot.english.edits.logic import read_logic
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.setting import lay, replace_whole
from segment_copilot.english.edits.sheet import Sheet
from segment_copilot.english.edits.spots import Spot, fields_of
from segment_copilot.english.edits.steps import Step
from segment_copilot.english.edits.targets import Target, matching, read_target
from segment_copilot.english.words.lexer import written


def swap(sheet: Sheet, step: Step) -> list[Op]:
    """Put *step.words* in the place of *step.old*."""
    if not step.old:
        raise Unfit("Say what should take its place, for example: replace Spain with France.")
    if logic_of(step.old) and (turned := read_logic(sheet, step.words)) is not None:
        return turned
    old = sort_fragment(step.old, sheet.today)
    target, found = sheet.meant(step.old)
    if old.bare and not target.place:
        return _measured(sheet, step, old)
    if (made := _values(sheet, step)) is not None:
        return made
    if not found or target.open:
        sheet.not_there(step.old)
    return _replaced(sheet, step, target, found)


def _measured(sheet: Sheet, step: Step, old: Fragment) -> list[Op]:
    """A number, comparison or time span in the place of another; words beside the new one say of what."""
    new = sort_fragment(step.words, sheet.today)
    old = measures.in_unit_of(old, new)
    matched = measures.saying(sheet.spots, old)
    if (
        not matched
        and old.quantity
        and new.quantity
        and (spans := measures.with_count(sheet.spots, old.quantity.value))
    ):
        return measures.set_measures(spans, Target(part="window", several=True), new, sheet.choose)
    if not matched and step.verb == "not":
        return measures.set_measures(sheet.spots, Target(), new, sheet.choose)
    if not matched:
        raise Unfit(f"Nothing in the draft says {old.text!r}. {sheet.what_is_there()}")
    target = read_target(new.content)
    narrowed = matching(target, matched, sheet.index)
    if not (new.windows or new.quantities or new.operator):
        return lay(sheet, step.words, step)
    if old.windows and not new.windows and new.quantity is not None:
        target = Target(part="window")
    several = Target(part=target.part, several=bool(old.windows))
    return measures.set_measures(narrowed or matched, several, new, sheet.choose)


def _values(sheet: Sheet, step: Step) -> list[Op] | None:
    """A value in the place of another; None where the old words spell no value of the draft."""
    read = [one for one in valued(step.old, sheet.spots, sheet.index) if set(one.values) & set(one.spot.values)]
    if not read:
        return None
    spot = sheet.choose([one.spot for one in read], f"change {{}} to {written(step.words)}")
    old = next(one for one in read if one.spot.pointer == spot.pointer)
    new, _ = spelled(step.words, fields_of(spot, sheet.index))
    if not new:
        home = [one for one in sheet.spots if one.pointer == spot.home]
        return replace_whole(sheet, home, step.words)
    kept = [value for value in spot.values if value not in old.values]
    at = next(at for at, value in enumerate(spot.values) if value in old.values)
    return patches.set_values(spot, [*kept[:at], *(value for value in new if value not in kept), *kept[at:]])


def _replaced(sheet: Sheet, step: Step, target: Target, found: Sequence[Spot]) -> list[Op]:
    """A measure, an event or a whole clause in the place of what a condition says."""
    new = sort_fragment(step.words, sheet.today)
    whole = [spot for spot in found if spot.whole] or list(found)
    if new.bare:
        return measures.set_measures(found, target, new, sheet.choose)
    event = events.event_named(new, sheet.index)
    able = [spot for spot in whole if spot.whole and spot.event_types]
    if event is not None and able:
        spot = sheet.choose(able, f"change {{}} to {new.text}")
        made, note = events.other_event(spot, event)
        sheet.notes += [note] if note else []
        more = new.quantities or new.windows
        return [*made, *(measures.set_measures([spot], Target(), new, sheet.choose) if more else [])]
    return replace_whole(sheet, whole, step.words)
