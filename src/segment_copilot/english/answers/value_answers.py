"""The plan that answers which values a property or trait has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from segment_copilot.english.answers.telling import asked, counted, failed, range_sentence, span
from segment_copilot.english.linking.values import UnknownValue
from segment_copilot.english.plan import Context, Result, Turn, latest
from segment_copilot.english.times.windows import Window

VALUES = "list_property_values"
_MOST: Final = 100
_SHOWN: Final = 25
_NAMED: Final = 10


def unknown(value: UnknownValue) -> str:
    """A value that does not exist, and some that do."""
    return f"`{value.field.path}` does not have the value {value.text!r}: {value.instead}."


class Values(Struct, frozen=True):
    """The values of a property, or of a trait (*event_type* None), the most frequent first."""

    path: str
    event_type: str | None
    note: str = ""
    window: Window | None = None
    limit: int | None = None
    least: bool = False
    ranked: bool = False
    counted: bool = False  # how many values there are is the question

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        read = latest(results, VALUES)
        if read is None:
            return asked(VALUES, self._arguments(context), context)
        if read.failed:
            return failed(read)
        where = f"`{self.event_type}.{self.path}`" if self.event_type else f"the trait `{self.path}`"
        values: list[dict[str, Any]] = list(read.document["values"])
        if not values:
            return Turn((f"{where[:1].upper()}{where[1:]} has no values.", self._note(), *self._range(context)))
        cut = read.document.get("truncated")
        if self.least and not cut:
            values.reverse()
        shown = values[: self.limit or _SHOWN]
        number = read.document["total_distinct"]
        if self.counted:
            few = "; ".join(str(item["value"]) for item in values[:_NAMED])
            return Turn(
                (
                    f"{where[:1].upper()}{where[1:]} has {counted(number, 'different value')}{', such as' if number > _NAMED else ':'} {few}.",
                    self._note(),
                )
            )
        listed = "; ".join(f"{item['value']} ({item['count']:,})" for item in shown)
        head = self._head(where, cut=bool(cut))
        more = f"It has {read.document['total_distinct']:,} values in all." if cut or len(shown) < len(values) else ""
        return Turn((f"{head}: {listed}.", more, self._note(), *self._range(context)))

    def _arguments(self, context: Context) -> dict[str, Any]:
        of = {"event_type": self.event_type} if self.event_type else {}
        limit = {"limit": self.limit} if self.limit and not self.least else {"limit": _MOST} if self.least else {}
        when = span(self.window, context) if self.window and self.event_type else {}
        return {"property": self.path, **of, **limit, **when}

    def _head(self, where: str, *, cut: bool) -> str:
        noun = "events" if self.event_type else "users"
        when = f" {self.window.words()}" if self.window and self.event_type else ""
        if self.least and not cut:
            return f"The values of {where} by number of {noun}{when}, the rarest first"
        return f"The values of {where} by number of {noun}{when}" if self.ranked else f"The values of {where}{when}"

    def _note(self) -> str:
        return f"{self.note}." if self.note else ""

    def _range(self, context: Context) -> tuple[str, ...]:
        if self.window is None:
            return ()
        if self.event_type is None:
            return ("A trait has only its current value, so the time span changes nothing.",)
        return (range_sentence(self.window, context),)
