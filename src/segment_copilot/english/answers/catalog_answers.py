"""The plan that answers what is known about people: the traits, which every request brings along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from segment_copilot.english.plan import Context, Result, Turn

_SHOWN: Final = 40


class Traits(Struct, frozen=True):
    """Which traits there are."""

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """Name them."""
        del results
        traits = tuple(context.catalog.traits.values())
        if not traits:
            return Turn(("Nothing is known about users beside their events: there are no traits yet.",))
        lines = [
            f"- {trait.path} ({trait.declared or ', '.join(trait.types) or 'unknown type'}){': ' + trait.description if trait.description else ''}"
            for trait in traits[:_SHOWN]
        ]
        more = "The list is cut here." if len(traits) > _SHOWN else ""
        return Turn(("\n".join(["These traits are known about users:", *lines]), more))
