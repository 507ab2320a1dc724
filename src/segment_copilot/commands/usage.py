"""Says what was typed wrong: the command line's library tells it, in part with words of the library below it."""

from __future__ import annotations

from typing import Any, Final

import typer
from typer.core import TyperGroup

_ITS_OWN: Final = "Value error, "


class MissingColumns(typer.BadParameter):
    """Options that name columns are missing; which of them, no single option can say."""

    def format_message(self) -> str:
        """Return the sentence alone: no value is invalid."""
        return self.message


class Commands(TyperGroup):
    """A group of commands whose mistakes are told in sentences of this program."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what is wrong with its arguments is told without the words of the checker's insides."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as mistake:
            mistake.message = mistake.message.removeprefix(_ITS_OWN)
            raise
