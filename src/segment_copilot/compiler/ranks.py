"""Plans and writes ranks: the users who come first of all by a measure, ties by user id, exactly.

    everybody's events → an amount for each user → the amount at the border → who is above it, and of those at it the first by id

The amounts are sorted once, by themselves. Ids are looked up of those who are in, or at the border, and compared only where
there is no room for all at the border. The greatest amount comes first: of the bottom it is turned round.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from segment_copilot.compiler.amounts import aggregate, number_of, scalar_of, summed
from segment_copilot.compiler.fragments import Fragment, bind, nested, sql, with_named
from segment_copilot.compiler.known import beside
from segment_copilot.compiler.measures import local_day
from segment_copilot.compiler.moves import known_of
from segment_copilot.compiler.predicates import render_filter
from segment_copilot.compiler.slots import Measured, Node, RankSlot
from segment_copilot.compiler.tables import Tables, in_range
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


def render_rank(slot: RankSlot, tables: Tables) -> Fragment:
    """Write `SELECT user_key` of the users in the slot, each once, of all users, whomever the query is about."""
    everybody = tables.of_everybody()
    places = _places(slot, sql("length(amounts)"))
    border = nested(sql(_BORDER, places=places, measured=nested(_measured(slot, everybody))))
    users = nested(sql("SELECT user_key, user_id\n{}", everybody.users()))
    return sql(_KEYS, users=users, ranked=nested(sql(_RANKED, border=border)))


def render_place(slot: RankSlot, tables: Tables, *, index: int, no_events: Fragment) -> Fragment:
    """Write a row of evidence: the user's value and place, of how many, and the value at the border; null where there is none."""
    everybody = tables.of_everybody()
    users = nested(sql("SELECT user_key, user_id\n{}", everybody.users()))
    rows = nested(sql(_PLACES, measured=nested(_measured(slot, everybody)), users=users))
    is_user, places = sql("user_key = sipHash64({})", tables.user), _places(slot, sql("ranked"))
    shown = _shown(slot)
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


def _measured(slot: RankSlot, tables: Tables) -> Fragment:
    """Write `SELECT user_key, amount` of the users who are ranked: what comes first has the greatest amount."""
    number, is_there = _amount(slot.measured)
    amount = sql("(-{} + 0)", number) if slot.is_bottom else number
    rows = ranked_rows(slot, tables)
    return with_named(sql(_MEASURED, key=tables.key, amount=amount, rows=rows, is_there=is_there))


def _shown(slot: RankSlot) -> Fragment:
    """Write the amount of a row as a number that people read."""
    amount = sql("(-amount)" if slot.is_bottom else "amount")
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
