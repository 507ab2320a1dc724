"""Gives a definition a short name: who is in it, as far as a name has room."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET

from segment_copilot.language.describe.sentences import describe_condition
from segment_copilot.language.nodes import Definition

LONGEST: Final = 80
_REMARK: Final = re.compile(r"\s*\(people who [^()]*\)")
_ASIDE: Final = re.compile(r"\s*\(where [^()]*\)")
_QUOTES: Final = str.maketrans("", "", "“”")
_OPENING: Final = re.compile(r"^(?:who are|who|whose|for whom)\s+")


def entitle(definition: Definition, segment_names: Mapping[int, str]) -> str:
    """Return a name of at most 80 characters: whole conditions, and `…` where there is no room for all of them.

    It has no quotation marks, because it stands in some; what events have to be like is left out first.
    """
    phrases = [_short(describe_condition(one, segment_names)) for one in definition.conditions]
    if definition.exclude is not UNSET:
        phrases += [f"not {_short(describe_condition(one, segment_names))}" for one in definition.exclude.conditions]
    joint = " or " if definition.logic == "OR" and definition.exclude is UNSET else ", "
    name = joint.join(phrases)
    if len(name) > LONGEST:
        phrases = [_ASIDE.sub("", phrase) for phrase in phrases]
        name = joint.join(phrases)
    if len(name) > LONGEST:
        name = _shortened(phrases, joint)
    return name[:1].upper() + name[1:]


def _shortened(phrases: Sequence[str], joint: str) -> str:
    """Return as many whole phrases as there is room for; of a first one that is too long, its first words."""
    rest = f"{joint}…"
    name = ""
    for phrase in phrases:
        longer = f"{name}{joint}{phrase}" if name else phrase
        if len(longer) > LONGEST - len(rest):
            break
        name = longer
    return f"{name}{rest}" if name else f"{phrases[0][: LONGEST - 1].rsplit(' ', 1)[0]}…"


def _short(phrase: str) -> str:
    plain = _REMARK.sub("", phrase).strip()
    inside = plain[1:-1] if plain.startswith("(") and plain.endswith(")") else plain  # a group
    return _OPENING.sub("", inside).translate(_QUOTES)
