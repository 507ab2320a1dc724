"""All conditions, or any of them: "require both", "any of these is enough"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from segment_copilot.english.edits import patches
from segment_copilot.english.edits.book import logic_of
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.sheet import Sheet
from segment_copilot.english.edits.spots import Json
from segment_copilot.english.words.lexer import Token


def read_logic(sheet: Sheet, tokens: Sequence[Token]) -> list[Op] | None:
    """The patch for "any of these", "both"; None when the words say anything else."""
    wanted = logic_of(tokens)
    return set_logic(sheet, wanted) if wanted else None


def set_logic(sheet: Sheet, logic: str) -> list[Op]:
    """Join the conditions by another logic: the draft's, or that of its only group."""
    holder, pointer = sheet.definition, ""
    groups = [
        at for at, one in enumerate(cast("list[Mapping[str, Any]]", holder["conditions"])) if one["type"] == "group"
    ]
    if (len(holder["conditions"]) == 1 or holder["logic"] == logic) and len(groups) == 1:
        pointer = f"/conditions/{groups[0]}"
        holder = cast("Json", patches.at(sheet.definition, pointer))
    if len(holder["conditions"]) < 2:  # noqa: PLR2004  # what one condition is joined with
        raise Unfit("The draft has only one condition, so there is nothing to join.")
    return patches.put(holder, pointer, {"logic": logic})
