"""Reads tables for one tenant, and nothing later than `as_of`. A query without these two cannot be built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from datetime import datetime
from typing import Final, Literal, LiteralString, cast
from uuid import UUID

from msgspec import Struct

from segment_copilot.compiler.fragments import Fragment, bind, join, nested, sql
from segment_copilot.compiler.slots import Plan, Range
from segment_copilot.language.catalog import IDENTIFY

INSTANT: Final = "DateTime64(6, 'UTC')"

Keys = Literal["user_key", "property, user_key"]
"""What tells rows of users, or of the traits of users, apart."""

_STATE: Final = (
    "SELECT groupBitmapMergeState(members) FROM segment_states WHERE tenant_id = {} AND segment_id = {} AND run_id = {}"
)
_LINKS: Final = "SELECT alias_key, person_key, person_id FROM {} FINAL WHERE tenant_id = {}"


class TableNames(Struct, frozen=True):
    """Names the tables in which the rows of users stand; others than the usual have the same layout."""

    events: LiteralString = "events"
    traits: LiteralString = "traits"
    traits_current: LiteralString = "traits_current"
    users: LiteralString = "users"
    identity_links: LiteralString = "identity_links"


STORED: Final = TableNames()
"""Where everything is."""


def in_range(wanted: Range) -> list[Fragment]:
    """The conditions of events that lie in a range."""
    tests = list[Fragment]()
    if wanted.earliest is not None:
        tests.append(sql("occurred_at >= {}", bind(wanted.earliest, INSTANT)))
    if wanted.latest is not None:
        tests.append(sql("occurred_at <= {}", bind(wanted.latest, INSTANT)))
    return tests


def hull(ranges: Iterable[Range]) -> Range:
    """Return the range that holds all of them."""
    earliest, latest = zip(*((item.earliest, item.latest) for item in ranges), strict=True)
    return Range(
        None if None in earliest else min(cast("tuple[datetime, ...]", earliest)),
        None if None in latest else max(cast("tuple[datetime, ...]", latest)),
    )


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


class Person(Struct, frozen=True):
    """A person is a user and the other ids that are linked to theirs."""

    user_id: str
    other_ids: tuple[str, ...] = ()


class Tables:
    """Writes the FROM and WHERE of one query.

    Where ids are linked, every read says `user_key` for the person: `key` in its SELECT is the person's key under that
    name, and hides the column. What stands behind it is the same text as where no ids are linked.

    Args:
        plan: Whose data, and as of when.
        only: A condition on `user_key` that every read gets, such as a range of keys; None for everybody.
        person: Whose rows alone are read; None for everybody's.
        names: Where the rows stand.
        bound: The placeholders of tenant and instant, where the query has them already.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        only: Fragment | None = None,
        person: Person | None = None,
        names: TableNames = STORED,
        bound: tuple[Fragment, Fragment] | None = None,
    ) -> None:
        self._names = names
        self._plan = plan
        self.tenant, self.as_of = bound or (
            bind(plan.tenant_id, "UInt32", name="tenant"),
            bind(plan.as_of, INSTANT, name="as_of"),
        )
        self.user = bind("" if person is None else person.user_id, "String", name="user")
        self._is_past = sql("occurred_at <= {}", self.as_of)
        self.is_spread = plan.spread
        """Whether the users who are read are those of one shard."""
        self.is_linked = plan.linked if person is None else bool(person.other_ids)
        self.person_key = sql("user_key")
        """The key of the person that a row is of, where the SELECT does not name it."""
        self._links: Fragment | None = None
        if person is not None and not self.is_linked:
            only = sql("user_key = sipHash64({})", self.user)
        elif person is not None:
            ids = bind([person.user_id, *person.other_ids], "Array(String)", name="ids")
            only = sql("stored.user_key IN (SELECT arrayJoin(arrayMap(id -> sipHash64(id), {})))", ids)
            self.person_key = sql("materialize(sipHash64({}))", self.user)
        elif self.is_linked:
            linked = nested(sql(_LINKS, names.identity_links, self.tenant))
            self._links = sql("LEFT ANY JOIN {} AS links ON stored.user_key = links.alias_key", linked)
            self.person_key = sql("if(links.person_key = 0, stored.user_key, links.person_key)")
        self.key = sql("{} AS user_key", self.person_key) if self.is_linked else self.person_key
        self.join_key = self.person_key
        """What rows of one person have in common: the server joins only by what stands in the rows."""
        if person is not None and self.is_linked:
            self.join_key = sql("stored.tenant_id")  # all rows are one person's, whose key is in none of them
        self.rows_beside: Fragment | None = None
        """What rows of events and traits are joined with."""
        is_tenant = sql("tenant_id = {}", self.tenant)
        self._always = [is_tenant] if only is None else [is_tenant, only]
        self.of_asked: list[Fragment] = [] if only is None else [only]
        """The conditions on a person's key that leave those whom the query is about."""
        if person is not None:
            self.of_asked = [sql("user_key = sipHash64({})", self.user)]

    def of_everybody(self) -> Tables:
        """Return the same for everybody's rows, in the same query."""
        return Tables(self._plan, names=self._names, bound=(self.tenant, self.as_of))

    def beside(self, rows: Fragment) -> Tables:
        """Return the same, whose events and traits are read with the columns of *rows* of `known_key` beside them."""
        other = copy(self)
        other.rows_beside = sql("LEFT ANY JOIN {} AS known ON {} = known.known_key", rows, self.join_key)
        return other

    def events(self, names: tuple[str, ...] | None, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read events of these types; None is every event, and an identify is not one."""
        return self._read(self._names.events, [of_types(names), self._is_past, *conditions], beside=self.rows_beside)

    def everything(self, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read events of all types, identifies among them."""
        return self._read(self._names.events, [self._is_past, *conditions], beside=self.rows_beside)

    def traits(self, wanted: Fragment, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read every value that some traits ever had."""
        return self._read(self._names.traits, [wanted, self._is_past, *conditions], beside=self.rows_beside)

    def current_traits(self, wanted: Fragment, conditions: Iterable[Fragment], *, final: bool) -> Fragment:
        """Read the newest value of some traits, after `as_of` or not; rows that were overtaken too, unless *final*."""
        return self._read(self._names.traits_current, [wanted, *conditions], final=final, beside=self.rows_beside)

    def users(self, conditions: Iterable[Fragment] = ()) -> Fragment:
        """Read the universe: a row of `user_key, user_id` for each user."""
        is_seen = sql("first_seen <= {}", self.as_of)
        if not self.is_linked:
            return self._read(self._names.users, [is_seen, *conditions], final=True)
        user_id = self.user
        if self._links is not None:
            user_id = sql("any(if(links.person_key = 0, stored.user_id, links.person_id))")
        everybody = sql(
            "SELECT {}, {} AS user_id\n{}\nGROUP BY user_key",
            self.key,
            user_id,
            self._read(self._names.users, [is_seen]),
        )
        rows = sql("FROM {}", nested(everybody))
        conditions = list(conditions)
        return sql("{}\n{}", rows, where(conditions)) if conditions else rows

    def newcomers(self, since: datetime) -> Fragment:
        """Read those who are in the universe and, at an instant before, perhaps were not."""
        return self._read(
            self._names.users,
            [sql("first_seen > {}", bind(since, INSTANT)), sql("first_seen <= {}", self.as_of)],
        )

    def members(self, segment_id: int, run_id: UUID) -> Fragment:
        """Read the stored members of a segment, as one run left them; they have no instant."""
        stored = nested(sql(_STATE, self.tenant, bind(segment_id, "UInt64"), bind(run_id, "UUID")), margin=2)
        return self._read("user_numbers", [sql("bitmapContains({}, number)", stored)])

    def _read(
        self,
        table: LiteralString,
        conditions: Iterable[Fragment],
        *,
        final: bool = False,
        beside: Fragment | None = None,
    ) -> Fragment:
        rows = sql(table)
        if self.is_linked:
            rows = sql("{} AS stored", rows)
        if final:
            rows = sql("{} FINAL", rows)
        if self._links is not None:
            rows = sql("{}\n{}", rows, self._links)
        if beside is not None:
            rows = sql("{}\n{}", rows, beside)
        return sql("FROM {}\n{}", rows, where([*self._always, *conditions]))
