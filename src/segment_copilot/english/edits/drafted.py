"""What an edit is about: the draft or saved segment on the table, and what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from msgspec import Struct

Json = Mapping[str, Any]


class Drafted(Struct, frozen=True):
    """A definition that can be edited.

    *known* when the server has the base too, so that a patch of it can be sent: *operations* is what was done to the base before this
    message. *counted* when it was only counted, not drafted. *earlier* is what it was before the last change.
    *named* when the person gave the name, which then stays whatever is changed.
    """

    definition: Json
    name: str = ""
    known: bool = False
    segment_id: int | None = None
    operations: tuple[Json, ...] = ()
    assumptions: tuple[str, ...] = ()
    counted: bool = False
    earlier: Drafted | None = None
    named: bool = False

    @property
    def saved(self) -> bool:
        """Whether it is a saved segment that nothing was changed of yet."""
        return self.segment_id is not None and not self.operations


def in_view(view: Json) -> Drafted | None:
    """What the person is looking at: the draft, else the saved segment."""
    shown = view.get("draft")
    if isinstance(shown, Mapping):
        draft = cast("Json", shown)
        definition = draft.get("definition", draft)
        if _editable(definition):
            return Drafted(
                definition, _text(draft.get("name")), known=True, assumptions=_texts(draft.get("assumptions"))
            )
    segment = view.get("segment")
    if isinstance(segment, Mapping):
        found = cast("Json", segment)
        definition = found.get("definition")
        if _editable(definition):
            return Drafted(cast("Json", definition), _text(found.get("name")), known=True, segment_id=found.get("id"))
    return None


def _editable(definition: Any) -> bool:
    """Whether it has the shape of a definition; what is inside is checked by the tool."""
    if not isinstance(definition, Mapping):
        return False
    found = cast("Json", definition)
    conditions: Any = found.get("conditions")
    return isinstance(conditions, list) and conditions != [] and str(found.get("logic", "")).upper() in {"AND", "OR"}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))
