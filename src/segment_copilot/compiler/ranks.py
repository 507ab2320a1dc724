"""Plans and writes ranks: the users who come first of all by a measure, ties by user id, exactly.

    everybody's events → an amount for each user → the amount at the border → who is above it, and of those at it the first by id

The amounts are sorted once, by themselves. Ids are looked up of those who are in, or at the border, and compared only where
there is no room for all at the border. The greatest amount comes first: of the bottom it is turned round.

Where users are on several shards, none of which has everybody, the border is found before (`audiences/spread.py`), from the
*distributions* that all shards tell, and is a parameter:

    a shard's events → an amount for each user → who is above the border, and of those at it whose id is not after the last
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from segment_copilot.compiler.amounts import aggregate, number_of, scalar_of, summed
from segment_copilot.compiler.fragments import CompiledQuery, Fragment, bind, join, nested, query, sql, with_named
from segment_copilot.compiler.known import beside
from segment_copilot.compiler.measures import local_day
from segment_copilot.compiler.moves import known_of
from segment_copilot.compiler.predicates import render_filter
from segment_copilot.compiler.slots import Bounds, Measured, MembersSlot, Node, Plan, RankSlot, SlotNode
from segment_copilot.compiler.tables import Person, Tables, in_range, where
from segment_copilot.compiler.trees import normal, slots_of
from segment_copilot.language import Rank
from segment_copilot.language.measure_checks import SHARE_DECIMALS
from segment_copilot.language.value_types import as_decimals

_WHOLE: Final = 100 * 10**SHARE_DECIMALS
"""All, in the units of a share."""

_BITS: Final = 128
"""An average is so many bits beyond the point: two that differ, of less than 2^63 values each, differ there by four or more."""

_MEASURED: Final = "SELECT {key}, {amount} AS amount\n{rows}\nGROUP BY user_key\nHAVING {is_there}"
_BORDER: Final = """\
SELECT keys, amounts, {places} AS places, arrayReverseSort(amounts)[places] AS border,
  toInt64(places) - toInt64(arrayCount(amount -> amount > border, amounts)) AS room,
  if(countEqual(amounts, border) > room, room, 0) AS crowded
FROM (SELECT groupArray(user_key) AS keys, groupArray(amount) AS amounts FROM {measured})"""
_RANKED: Final = """\
SELECT user_key, if(amount = border, crowded, 0) AS room
FROM {border}
ARRAY JOIN keys AS user_key, amounts AS amount
WHERE amount >= border"""
_KEYS: Final = """\
SELECT arrayJoin(arrayConcat(
  groupArrayIf(user_key, room = 0),
  arrayMap(one -> one.2, arraySlice(arraySort(groupArrayIf((user_id, user_key), room > 0)), 1, max(room))))) AS user_key
FROM {users} AS ids INNER JOIN {ranked} AS ranked USING (user_key)"""
_PLACES: Final = """\
SELECT user_key, amount, row_number() OVER (ORDER BY amount DESC, user_id ASC) AS place, count() OVER () AS ranked
FROM {measured} AS measured INNER JOIN {users} AS ids USING (user_key)"""
_PLACE: Final = """\
SELECT toInt32({index}), toUInt8(countIf({is_user} AND place <= {places}) > 0),
  concat('{{"value": ', {value}, ', "place": ', {place}, ', "of": ', toString(count()), ', "border": ', {border}, '}}'), {no_events}
FROM {rows}"""

_BOUNDED: Final = "SELECT user_key FROM {measured}\n{conditions}"
_CROWDED: Final = """\
SELECT user_key FROM {at_least} AS ranked INNER JOIN {users} AS ids USING (user_key)
WHERE amount > {border} OR user_id <= {last_id}"""
_AT_LEAST: Final = "SELECT user_key, amount FROM {measured}\nWHERE amount >= {border}"
_OWN_PLACE: Final = """\
SELECT toInt32({index}), toUInt8(count() > 0 AND {is_in}),
  concat('{{"value": ', if(count() > 0, toString({value}), 'null'), ', "place": ', {place}, ', "of": ', {of}, ', "border": ', {border}, '}}'), {no_events}
FROM {measured}"""

# A value is told where the users up to it fill another step, so that fewer than a step are between two that are told.
_DISTRIBUTION: Final = """\
SELECT before, arrayMap(place -> (toString(sorted[place].1), running[place]), places) AS told, length(places) = length(sorted) AS is_whole
FROM (
  SELECT sumIf(users, {is_before}) AS before, {sort}(one -> one.1, groupArrayIf((value, users), {is_within})) AS sorted,
    arrayCumSum(one -> one.2, sorted) AS running, intDiv(running[-1] + {steps} - 1, {steps}) AS step,
    arrayFilter(place -> length(sorted) <= {steps} OR place = length(sorted)
      OR intDiv(running[place], step) > intDiv(running[place] - sorted[place].2, step), arrayEnumerate(sorted)) AS places
  FROM (SELECT value, count() AS users FROM {values} GROUP BY value)
)"""
_IDS_AT: Final = """\
SELECT user_id AS value FROM {measured} AS measured INNER JOIN {users} AS ids USING (user_key)
WHERE amount = {amount}"""
_BEFORE: Final = """\
SELECT countIf(amount > {amount} OR user_id < {user}) FROM {at_least} AS measured INNER JOIN {users} AS ids USING (user_key)"""


class Span(Struct, frozen=True):
    """A span is the values that come after one and before another, both out, in the order of the rank; None is open."""

    after: str | None = None
    before: str | None = None


def plan_rank(leaf: Rank, measured: Measured) -> RankSlot:
    """Return the slot of a rank."""
    is_bottom = leaf.bottom is not UNSET or leaf.bottom_percent is not UNSET
    count = leaf.bottom if leaf.top is UNSET else leaf.top
    if count is not UNSET:
        return RankSlot(measured, is_bottom, count=count)
    share = leaf.bottom_percent if leaf.top_percent is UNSET else leaf.top_percent
    return RankSlot(measured, is_bottom, share=as_decimals(0 if share is UNSET else share, SHARE_DECIMALS))


def ranks_users(node: Node) -> bool:
    """Return whether users are ranked in a tree, or in what stands behind it: then what happens to one may move others."""
    return any(isinstance(slot, RankSlot) for slot in slots_of([normal(node)]))


def ranks_of(plan: Plan) -> list[RankSlot]:
    """Return the different ranks in a plan, and in what stands behind it."""
    return [slot for slot in slots_of([normal(plan.root)]) if isinstance(slot, RankSlot)]


def with_bounds(plan: Plan, bounds: Mapping[RankSlot, Bounds]) -> Plan:
    """Return the plan with each rank bounded as *bounds* says; others stay as they are."""
    return replace(plan, root=_bounded(plan.root, bounds))


def _bounded(node: Node, bounds: Mapping[RankSlot, Bounds]) -> Node:
    if not isinstance(node, SlotNode):
        return replace(node, children=tuple(_bounded(child, bounds) for child in node.children))
    slot = node.slot
    if isinstance(slot, MembersSlot):
        return replace(node, slot=replace(slot, root=_bounded(slot.root, bounds)))
    return (
        replace(node, slot=replace(slot, bounds=bounds[slot]))
        if isinstance(slot, RankSlot) and slot in bounds
        else node
    )


def places_of(slot: RankSlot, ranked: int) -> int:
    """Return how many are in, of so many who are ranked: a share is rounded up, exactly."""
    if slot.count is not None:
        return min(slot.count, ranked)
    return -(-(slot.share or 0) * ranked // _WHOLE)


def render_rank(slot: RankSlot, tables: Tables) -> Fragment:
    """Write `SELECT user_key` of the users in the slot, each once, of all users, whomever the query is about.

    With bounds they are of those whom it is about.
    """
    if slot.bounds is not None:
        return _within(slot, slot.bounds, tables)
    _check_whole(tables)
    everybody = tables.of_everybody()
    places = _places(slot, sql("length(amounts)"))
    border = nested(sql(_BORDER, places=places, measured=nested(_measured(slot, everybody))))
    return sql(_KEYS, users=_ids(everybody), ranked=nested(sql(_RANKED, border=border)))


def _within(slot: RankSlot, bounds: Bounds, tables: Tables) -> Fragment:
    measured = nested(_measured(slot, tables))
    if bounds.border is None:
        return sql(_BOUNDED, measured=measured, conditions=where([sql("0")]))
    border = _amount_of(slot, bounds.border)
    if bounds.last_id is None:
        return sql(_BOUNDED, measured=measured, conditions=where([sql("amount >= {}", border)]))
    at_least = nested(sql(_AT_LEAST, measured=measured, border=border))
    return sql(_CROWDED, at_least=at_least, users=_ids(tables), border=border, last_id=bind(bounds.last_id, "String"))


def render_place(slot: RankSlot, tables: Tables, *, index: int, no_events: Fragment) -> Fragment:
    """Write a row of evidence: the user's value and place, of how many, and the value at the border; null where there is none."""
    if slot.bounds is not None:
        return _own_place(slot, slot.bounds, tables, index=index, no_events=no_events)
    _check_whole(tables)
    everybody = tables.of_everybody()
    rows = nested(sql(_PLACES, measured=nested(_measured(slot, everybody)), users=_ids(everybody)))
    is_user, places = sql("user_key = sipHash64({})", tables.user), _places(slot, sql("ranked"))
    shown = _shown(slot, sql("amount"))
    return sql(
        _PLACE,
        index=index,
        is_user=is_user,
        places=places,
        value=sql("if(countIf({u}) > 0, toString(anyIf({s}, {u})), 'null')", u=is_user, s=shown),
        place=sql("if(countIf({u}) > 0, toString(anyIf(place, {u})), 'null')", u=is_user),
        border=sql("if(count() > 0, toString(anyIf({}, place = {})), 'null')", shown, places),
        no_events=no_events,
        rows=rows,
    )


def _own_place(slot: RankSlot, bounds: Bounds, tables: Tables, *, index: int, no_events: Fragment) -> Fragment:
    is_in, border = sql("0"), sql("'null'")
    if bounds.border is not None:
        at = _amount_of(slot, bounds.border)
        border = sql("toString({})", _shown(slot, at))
        is_in = sql("max(amount) >= {}", at)
        if bounds.last_id is not None:
            is_in = sql("(max(amount) > {} OR {} AND {} <= {})", at, is_in, tables.user, bind(bounds.last_id, "String"))
    return sql(
        _OWN_PLACE,
        index=index,
        is_in=is_in,
        value=_shown(slot, sql("max(amount)")),
        place=sql("'null'") if bounds.place is None else sql("'{}'", bounds.place),
        of=sql("'{}'", bounds.ranked),
        border=border,
        no_events=no_events,
        measured=nested(_measured(slot, tables)),
    )


# What shards tell, before a plan has bounds


def render_distribution(plan: Plan, slot: RankSlot, span: Span, *, steps: int, at: str | None = None) -> CompiledQuery:
    """Write one row of how the users are distributed in a span, by amount; or, of those *at* an amount, by id.

    The row is `before, told, is_whole`: how many users come before the span, values in the order of the rank, each with how
    many users of the span come up to it, and whether all values are told. If not, they are at most *steps*, the last value among
    them.
    """
    tables = Tables(plan)
    measured, number = nested(_measured(slot, tables)), bind(steps, "UInt64")
    if at is None:
        values = sql("SELECT amount AS value FROM {}", measured)
    else:
        values = sql(_IDS_AT, measured=measured, users=_ids(tables), amount=_amount_of(slot, at))

    def bound(text: str) -> Fragment:
        return _amount_of(slot, text) if at is None else bind(text, "String")

    is_before, within = sql("0"), list[Fragment]()
    if span.after is not None:
        after = bound(span.after)
        is_before = sql("value >= {}" if at is None else "value <= {}", after)
        within.append(sql("value < {}" if at is None else "value > {}", after))
    if span.before is not None:
        within.append(sql("value > {}" if at is None else "value < {}", bound(span.before)))
    return query(
        sql(
            _DISTRIBUTION,
            is_before=is_before,
            is_within=join(" AND ", within) if within else sql("1"),
            sort=sql("arrayReverseSort" if at is None else "arraySort"),
            steps=number,
            values=nested(values),
        )
    )


def render_amount(plan: Plan, slot: RankSlot, person: Person) -> CompiledQuery:
    """Write the amount of one user, as text; no row for one who is not ranked."""
    tables = Tables(plan, person=person)
    return query(sql("SELECT toString(amount) FROM {}", nested(_measured(slot, tables))))


def render_before(plan: Plan, slot: RankSlot, *, amount: str, user_id: str) -> CompiledQuery:
    """Write how many users come before one who has this amount."""
    tables, at = Tables(plan), _amount_of(slot, amount)
    at_least = nested(sql(_AT_LEAST, measured=nested(_measured(slot, tables)), border=at))
    user = bind(user_id, "String", name="user")
    return query(sql(_BEFORE, at_least=at_least, users=_ids(tables), amount=at, user=user))


def ranked_rows(slot: RankSlot, tables: Tables) -> Fragment:
    """Read the events that are measured (FROM and WHERE)."""
    matching = slot.measured.matching
    passes = [render_filter("payload", matching.filter)] if matching.filter else []
    return beside(tables, known_of(slot)).events(matching.event_types, [*in_range(matching.range), *passes])


def _places(slot: RankSlot, ranked: Fragment) -> Fragment:
    """Write how many are in, of so many who are ranked: a share is rounded up, exactly."""
    if slot.count is not None:
        return sql("least({}, {})", bind(slot.count, "UInt64"), ranked)
    return sql("intDiv({} * {} + {}, {})", bind(slot.share, "UInt64"), ranked, _WHOLE - 1, _WHOLE)


def _check_whole(tables: Tables) -> None:
    """Raise ValueError where a shard would rank its own users by themselves."""
    if tables.is_spread:
        raise ValueError("a rank that is asked of several shards has no bounds")


def _ids(tables: Tables) -> Fragment:
    return nested(sql("SELECT user_key, user_id\n{}", tables.users()))


def _amount_of(slot: RankSlot, text: str) -> Fragment:
    """Write an amount that the server has told as text; a double is written as a number, which is read exactly."""
    if slot.measured.metric in {"min", "max"}:
        return bind(float(text), "Float64")
    return sql("toInt256({})", bind(text, "String"))


def _measured(slot: RankSlot, tables: Tables) -> Fragment:
    """Write `SELECT user_key, amount` of the users who are ranked: what comes first has the greatest amount."""
    number, is_there = _amount(slot.measured)
    amount = sql("(-{} + 0)", number) if slot.is_bottom else number
    rows = ranked_rows(slot, tables)
    return with_named(sql(_MEASURED, key=tables.key, amount=amount, rows=rows, is_there=is_there))


def _shown(slot: RankSlot, amount: Fragment) -> Fragment:
    """Write an amount as a number that people read."""
    amount = sql("(-{})", amount) if slot.is_bottom else amount
    match slot.measured.metric:
        case "sum":
            return sql("toFloat64({}) / 1000000", amount)
        case "avg":
            return sql("toFloat64({}) / pow(2, {}) / 1000000", amount, _BITS)
        case "count" | "days_active" | "count_distinct" | "min" | "max":
            return amount


def _amount(measured: Measured) -> tuple[Fragment, Fragment]:
    """Write what users are ordered by, and the condition that there is something."""
    match measured.metric:
        case "count":
            return sql("toInt64(count())"), sql("count() > 0")
        case "days_active":
            return sql("toInt64({})", aggregate("uniqExact", None, local_day(measured))), sql("count() > 0")
        case "count_distinct":
            scalar = scalar_of(measured.path)
            number = sql("toInt64({})", aggregate("uniqExact", sql("{} != ''", scalar), scalar))
            return number, sql("{} > 0", number)
        case "sum" | "avg":
            millionths, is_summed = summed(measured.path)
            whole, count = aggregate("sum", None, millionths), aggregate("count", is_summed)
            if measured.metric == "sum":
                return whole, sql("{} > 0", count)
            part = sql("toInt256('{}')", 2**_BITS)
            # The server may divide before it leaves out those who have none.
            average = sql("intDiv(toInt256({}) * {}, toInt256(greatest({}, 1)))", whole, part, count)
            return average, sql("{} > 0", count)
        case "min" | "max":
            extreme = aggregate("min" if measured.metric == "min" else "max", None, number_of(measured.path))
            # The sign of 0 makes no difference, nor may it to what is turned round.
            return sql("(assumeNotNull({}) + 0)", extreme), sql("isNotNull({})", extreme)
