"""Steps done to a definition, one after the other: each is a patch, a question, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from segment_copilot.english.edits import patches
from segment_copilot.english.edits.adding import add, either, include, narrow, restore
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.removing import exclude, negate, remove, without
from segment_copilot.english.edits.setting import move, multiply, rename, set_to
from segment_copilot.english.edits.sheet import Sheet
from segment_copilot.english.edits.steps import Mode, Step
from segment_copilot.english.edits.swapping import swap

_DOING: Final[Mapping[Mode, Callable[[Sheet, Step], list[Op]]]] = {
    "set": set_to, "bare": set_to, "only": narrow, "up": move, "down": move, "times": multiply, "add": add, "or": either, "include": include,
    "restore": restore, "exclude": exclude, "without": without, "remove": remove, "swap": swap, "negate": negate, "rename": rename,
}  # fmt: skip


def do(sheet: Sheet, step: Step) -> list[Op]:
    """Make one change on the sheet; the patch that made it. Raises Unfit or Unsure."""
    made = _DOING[step.mode](sheet, step)
    if not made and not sheet.name:
        raise Unfit("That is how the draft is already.")
    sheet.definition = patches.applied(sheet.definition, made)
    return made
