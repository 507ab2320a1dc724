"""Reads tables for one tenant, and nothing later than `as_of`. A query without these two cannot be built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, LiteralString
from uuid import UUID

from segment_copilot.compiler.fragments import Fragment, bind, join, nested, sql
from segment_copilot.compiler.slots import Plan, Range
from segment_copilot.language.catalog import IDENTIFY

INSTANT: Final = "DateTime64(6, 'UTC')"

Keys = Literal["user_key", "property, user_key"]
"""What tells rows of users, or of the traits of users, apart."""


def in_range(wanted: Range) -> list[Fragment]:
    """The conditions of events that lie in a range."""
    tests = list[Fragment]()
    if wanted.earliest is not None:
        tests.append(sql("occurred_at >= {}", bind(wanted.earliest, INSTANT)))
    if wanted.latest is not None:
        tests.append(sql("occurred_at <= {}", bind(wanted.latest, INSTANT)))
    return tests


def of_types(names: tuple[str, ...] | None) -> Fragment:
    """Write the condition of events of these types; None is every event, and an identify is not one."""
    if names is None:
        return sql("event_type != '{}'", IDENTIFY)
    if len(names) == 1:
        return sql("event_type = {}", bind(names[0], "String"))
    return sql("event_type IN {}", bind(list(names), "Array(String)"))


def of_traits(names: Sequence[str]) -> Fragment:
    """Write the condition of values of these traits."""
    if len(names) == 1:
        return sql("property = {}", bind(names[0], "String"))
    return sql("property IN {}", bind(list(names), "Array(String)"))


def is_in(rows: Fragment, *, keys: Keys = "user_key", negated: bool = False) -> Fragment:
    """Write the condition of users whose key is (or, *negated*, is not) among those of a SELECT."""
    subject = "user_key" if keys == "user_key" else "(property, user_key)"
    return sql("{} {} {}", subject, "NOT IN" if negated else "IN", nested(rows, margin=2))


def filtered(rows: Fragment, narrowed: Sequence[Fragment]) -> Fragment:
    """Write `SELECT user_key` of the rows whose key passes all of *narrowed*."""
    if not narrowed:
        return rows
    return sql("SELECT user_key FROM {}\n{}", nested(rows), where(narrowed))


def where(conditions: Iterable[Fragment]) -> Fragment:
    """Write WHERE, a condition to a line."""
    return sql("WHERE {}", join("\n  AND ", conditions))


class Tables:
    """Writes the FROM and WHERE of one query.

    Args:
        plan: Whose data, and as of when.
        only: A condition on `user_key` that every read gets, such as a range of keys; None for everybody.
    """

    def __init__(self, plan: Plan, *, only: Fragment | None = None) -> None:
        self.tenant = bind(plan.tenant_id, "UInt32", name="tenant")
        self.as_of = bind(plan.as_of, INSTANT, name="as_of")
        is_tenant = sql("tenant_id = {}", self.tenant)
        self._always = [is_tenant] if only is None else [is_tenant, only]
        self._is_past = sql("occurred_at <= {}", self.as_of)

    def events(self, names: tuple[str, ...] | None, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read events of these types; None is every event, and an identify is not one."""
        return self._read("events", [of_types(names), self._is_past, *conditions])

    def everything(self, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read events of all types, identifies among them."""
        return self._read("events", [self._is_past, *conditions])

    def traits(self, wanted: Fragment, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read every value that some traits ever had."""
        return self._read("traits", [wanted, self._is_past, *conditions])

    def current_traits(self, wanted: Fragment, conditions: Iterable[Fragment], *, final: bool) -> Fragment:
        """Read the newest value of some traits, after `as_of` or not; rows that were overtaken too, unless *final*."""
        table = "traits_current FINAL" if final else "traits_current"
        return self._read(table, [wanted, *conditions])

    def users(self, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read the universe."""
        return self._read("users FINAL", [sql("first_seen <= {}", self.as_of), *conditions])

    def members(self, segment_id: int, run_id: UUID) -> Fragment:
        """Read the stored members of a segment, as one run left them; they have no instant."""
        run = sql("run_id = {}", bind(run_id, "UUID"))
        return self._read("memberships", [sql("segment_id = {}", bind(segment_id, "UInt64")), run])

    def _read(self, table: LiteralString, conditions: Iterable[Fragment]) -> Fragment:
        return sql("FROM {}\n{}", table, where([*self._always, *conditions]))
