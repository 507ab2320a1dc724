"""Every read of a table: for one tenant, and nothing later than `as_of`. A query without these cannot be built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from segment_copilot.compiler.params import Params
from segment_copilot.compiler.slots import Plan, Range
from segment_copilot.language.catalog import IDENTIFY

INSTANT: Final = "DateTime64(6, 'UTC')"


def in_range(wanted: Range, params: Params) -> list[str]:
    """The conditions of events that lie in a range."""
    tests = list[str]()
    if wanted.earliest is not None:
        tests.append(f"occurred_at >= {params.bind(wanted.earliest, INSTANT)}")
    if wanted.latest is not None:
        tests.append(f"occurred_at <= {params.bind(wanted.latest, INSTANT)}")
    return tests


class Tables:
    """Writes the FROM and WHERE of one query.

    Args:
        plan: Whose data, and as of when.
        params: Takes the values.
        only: A condition on `user_key` that every read gets, such as a range of keys; empty for everybody.
    """

    def __init__(self, plan: Plan, params: Params, *, only: str = "") -> None:
        self.params = params
        self.tenant = params.name("tenant", plan.tenant_id, "UInt32")
        self.as_of = params.name("as_of", plan.as_of, INSTANT)
        self._only = only

    def events(self, names: tuple[str, ...] | None, conditions: Iterable[str] = ()) -> str:
        """Events of these types; None is every event, and an identify is not one."""
        if names is None:
            is_type = f"event_type != '{IDENTIFY}'"
        elif len(names) == 1:
            is_type = f"event_type = {self.params.bind(names[0], 'String')}"
        else:
            is_type = f"event_type IN {self.params.bind(list(names), 'Array(String)')}"
        return self._read("events", [is_type, f"occurred_at <= {self.as_of}", *conditions])

    def everything(self, conditions: Iterable[str] = ()) -> str:
        """Events of all types, identifies among them."""
        return self._read("events", [f"occurred_at <= {self.as_of}", *conditions])

    def traits(self, name: str, conditions: Iterable[str] = ()) -> str:
        """Every value that one trait ever had."""
        return self._read("traits", [f"property = {name}", f"occurred_at <= {self.as_of}", *conditions])

    def current_traits(self, name: str, conditions: Iterable[str], *, final: bool) -> str:
        """The newest value of one trait, also when it is later than `as_of`; rows that were overtaken unless *final*."""
        table = "traits_current FINAL" if final else "traits_current"
        return self._read(table, [f"property = {name}", *conditions])

    def users(self, conditions: Iterable[str] = ()) -> str:
        """The universe."""
        return self._read("users FINAL", [f"first_seen <= {self.as_of}", *conditions])

    def _read(self, table: str, conditions: Iterable[str]) -> str:
        only = [self._only] if self._only else []
        return f"FROM {table}\nWHERE " + "\n  AND ".join([f"tenant_id = {self.tenant}", *only, *conditions])
