"""The table of kinds of change: from the words that say what and to what, to the definitions that may be meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import structs

from segment_copilot.english.edits.adding import add, add_people, either, include, only, set_or_add, too, who
from segment_copilot.english.edits.meant import Change, Made, Parts
from segment_copilot.english.edits.removing import anywhere, drop_people, exclude, keep, negate, remove, same, timeless
from segment_copilot.english.edits.replacing import instead, swap
from segment_copilot.english.edits.said import Desk
from segment_copilot.english.edits.setting import at, bound, moved
from segment_copilot.english.edits.steps import step_in, step_out


def logic(name: Any) -> Change:
    """Return the change to all, or to any, of the conditions."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        del parts
        if desk.definition.logic == name or len(desk.definition.conditions) < 2:  # noqa: PLR2004
            return []
        return [Made(structs.replace(desk.definition, logic=name))]

    return change


def nothing(desk: Desk, parts: Parts) -> list[Made]:
    """Take “that is too many; 3 is too few” for a reason, which changes nothing by itself."""
    del parts
    return [Made(desk.definition)]


KINDS: Final[Mapping[str, Change]] = {
    "set": set_or_add, "bare": set_or_add, "swap": swap, "add": add, "too": too, "or": either, "only": only, "remove": remove, "exclude": exclude, "include": include,
    "keep": keep, "instead": instead, "enough": at("gte"), "cap": at("lte"), "drop_people": drop_people, "nothing": nothing, "upper": bound(upper=True), "lower": bound(upper=False), "who": who, "add_people": add_people, "negate": negate, "any": logic("OR"), "all": logic("AND"),
    "timeless": timeless, "anywhere": anywhere, "same": same, "step_in": step_in(1), "step_last": step_in(0), "step_out": step_out,
    "up": moved(lambda was, step: was + step), "down": moved(lambda was, step: was - step),
    "times": moved(lambda was, step: was * 2 + 0 * step), "half": moved(lambda was, step: was / 2 + 0 * step),
}  # fmt: skip
"""Every kind of change but those of a name, and of taking the last one back."""
