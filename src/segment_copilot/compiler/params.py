"""Values on their way beside the SQL text, never in it."""

from __future__ import annotations

from typing import Any


class Params:
    """Hands out typed placeholders. No two share a value's slot, so the text depends on no value, not even on equal ones."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def bind(self, value: Any, type_: str) -> str:
        """The placeholder for *value*, in ClickHouse's own form: `{p0:String}`."""
        return self.name(f"p{len(self.values)}", value, type_)

    def name(self, name: str, value: Any, type_: str) -> str:
        """A placeholder with a name that says what it is, such as `{as_of:…}`."""
        self.values[name] = value
        return f"{{{name}:{type_}}}"
