"""USE CASE: find users, and read what is known of one: the profile and the events, those that wait to be forwarded too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import Person
from segment_copilot.errors import NotFound
from segment_copilot.events.identity_links import PERSON_ID, PERSON_KEY, IdentityLinks, with_links
from segment_copilot.events.rows import Event
from segment_copilot.events.waiting import WaitingEvents
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.language.lengths import EARLIEST, LATEST, MICROSECOND
from segment_copilot.lists import FIRST_PAGE, Listed, Window, read_cursor, write_cursor
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS, SUMS, Merge, ordered

# A user may have several rows before they are merged, all with the same id: who matches is told without merging.
_FOUND: Final = "tenant_id = {tenant:UInt32} AND positionCaseInsensitiveUTF8(user_id, {text:String}) > 0"
_COUNT: Final = f"SELECT uniqExact(user_key) FROM users WHERE {_FOUND}"
_RANK: Final = """
    multiIf(lowerUTF8(user_id) = lowerUTF8({text:String}), 0, positionCaseInsensitiveUTF8(user_id, {text:String}) = 1, 1, 2)
"""
_SEARCH: Final = f"""
SELECT user_key, id, first_seen, last_seen, rank FROM (
    SELECT user_key, any(user_id) AS id, min(users.first_seen) AS first_seen, max(users.last_seen) AS last_seen, any({_RANK}) AS rank
    FROM users WHERE {_FOUND} GROUP BY user_key)
WHERE (rank, id) > ({{rank:Int32}}, {{id:String}})
ORDER BY rank, id LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}
"""
_COUNTS: Final = """
SELECT user_key, count() FROM events
WHERE tenant_id = {tenant:UInt32} AND user_key IN {keys:Array(UInt64)} GROUP BY user_key
"""

# Where ids are linked: a person is found by any of their ids, and counted with all of them.
_PERSONS: Final = f"""(
    SELECT {PERSON_KEY} AS user_key, any({PERSON_ID}) AS id, min(stored.first_seen) AS first_seen,
        max(stored.last_seen) AS last_seen, minIf({_RANK}, {_FOUND}) AS rank, countIf({_FOUND}) > 0 AS is_found
    FROM {with_links("users")} WHERE tenant_id = {{tenant:UInt32}} GROUP BY user_key HAVING is_found)"""
_COUNT_PERSONS: Final = f"SELECT count() FROM {_PERSONS}"
_SEARCH_PERSONS: Final = f"""
SELECT user_key, id, first_seen, last_seen, rank FROM {_PERSONS}
WHERE (rank, id) > ({{rank:Int32}}, {{id:String}})
ORDER BY rank, id LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}
"""
_COUNTS_OF_PERSONS: Final = f"""
SELECT {PERSON_KEY} AS person, count() FROM {with_links("events")}
WHERE tenant_id = {{tenant:UInt32}} AND (stored.user_key IN {{keys:Array(UInt64)}} OR stored.user_key IN (
    SELECT alias_key FROM identity_links FINAL WHERE tenant_id = {{tenant:UInt32}} AND person_key IN {{keys:Array(UInt64)}}))
GROUP BY person HAVING person IN {{keys:Array(UInt64)}}
"""

_OF_USER: Final = "tenant_id = {tenant:UInt32} AND user_key IN (SELECT arrayJoin(arrayMap(id -> sipHash64(id), {users:Array(String)})))"
_WAITING: Final = """(SELECT arrayJoin(arrayZip(
        {waiting_types:Array(String)}, {waiting_times:Array(DateTime64(6, 'UTC'))}, {waiting_ids:Array(String)})) AS one)"""
# What is in both places was forwarded between the two reads.
_HISTORY: Final = f"""(
    SELECT CAST(event_type, 'String') AS type, occurred_at, event_id FROM events
    WHERE {_OF_USER} AND (event_id, occurred_at) NOT IN (SELECT one.3, one.2 FROM {_WAITING})
    UNION ALL
    SELECT one.1, one.2, one.3 FROM {_WAITING}
)"""
_SUMMARY: Final = f"SELECT count(), uniqExact(type), min(occurred_at), max(occurred_at) FROM {_HISTORY}"
_TRAITS: Final = f"""
SELECT property, max((occurred_at, event_id)) AS newest, argMax(toJSONString(value), (occurred_at, event_id))
FROM traits WHERE {_OF_USER} GROUP BY property
SETTINGS json_type_escape_dots_in_keys = 1
"""
_WANTED: Final = """
    ({event_type:String} = '' OR type = {event_type:String})
    AND occurred_at BETWEEN {first:DateTime64(6, 'UTC')} AND {last:DateTime64(6, 'UTC')}
"""
_COUNT_EVENTS: Final = f"SELECT count() FROM {_HISTORY} WHERE {_WANTED}"
_EVENTS: Final = f"""
SELECT type, occurred_at, event_id FROM {_HISTORY}
WHERE {_WANTED} AND (occurred_at, event_id) < ({{before:DateTime64(6, 'UTC')}}, {{before_id:String}})
ORDER BY occurred_at DESC, event_id DESC LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}
"""
_PAYLOADS: Final = f"""
SELECT CAST(event_type, 'String'), occurred_at, event_id, toJSONString(payload) FROM events
WHERE {_OF_USER} AND event_type IN {{types:Array(String)}} AND event_id IN {{ids:Array(String)}}
    AND occurred_at BETWEEN {{first:DateTime64(6, 'UTC')}} AND {{last:DateTime64(6, 'UTC')}}
SETTINGS json_type_escape_dots_in_keys = 1
"""
_VALUE: Final = "v"  # the value of a trait is stored in an object of this one key, or none where it was removed
_LAST_ID: Final = "\U0010ffff" * 2


_Place = tuple[str, datetime, str]
"""Type, time and id: what tells an event from others, a copy of it that came after its id was forgotten among them."""


class FoundUser(Struct, frozen=True):
    """A user whose id was searched for. *event_count* counts identifies too, as all of the explorer does."""

    user_id: str
    event_count: int
    first_seen: datetime
    last_seen: datetime


class Profile(Struct, frozen=True):
    """A profile is what is known of one user; *properties* are the traits as they are now."""

    user_id: str
    event_count: int
    event_type_count: int
    first_seen: datetime
    last_seen: datetime
    properties: Mapping[str, Any]


class UserEvent(Struct, frozen=True):
    """Something a user did; an identify among them, with its traits as payload."""

    event_id: str
    event_type: str
    occurred_at: datetime
    payload: Mapping[str, Any]


class WhichEvents(Struct, frozen=True):
    """A filter of a user's events: of this type, from *since* up to, not including, *until*; None leaves each open."""

    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_ALL: Final = WhichEvents()


class Profiles:
    """Reads the users of all tenants; every method takes the tenant."""

    def __init__(self, clickhouse: ClickHouse, waiting: WaitingEvents, links: IdentityLinks) -> None:
        self._links = links
        self._clickhouse = clickhouse
        self._waiting = waiting

    async def search(self, tenant: Tenant, text: str = "", window: Window = FIRST_PAGE) -> Listed[FoundUser]:
        """Return users whose id has *text* in it, in whatever case: who has this id, whose begins with it, all others.

        Within these three by id. Events that wait to be forwarded are not looked at.
        """
        listed = [tenant.id, "users", text]
        rank, last = read_cursor(listed, window.cursor, tuple[int, str]) if window.cursor else (-1, "")
        params = {"tenant": tenant.id, "text": text}
        linked = await self._links.has_any(tenant)
        count = await self._rows(_COUNT_PERSONS if linked else _COUNT, params, SUMS)
        place = {"rank": rank, "id": last, "limit": window.limit + 1, "offset": window.offset}
        pages = ordered(4, 1, limit=window.limit + 1, offset=window.offset)
        rows = await self._rows(_SEARCH_PERSONS if linked else _SEARCH, {**params, **place}, pages)
        shown = rows[: window.limit]
        keys = {"tenant": tenant.id, "keys": [row[0] for row in shown]}
        counts = dict(
            cast(
                "list[tuple[int, int]]",
                await self._rows(_COUNTS_OF_PERSONS if linked else _COUNTS, keys, ROWS) if shown else [],
            )
        )
        users = tuple(FoundUser(row[1], counts.get(row[0], 0), row[2], row[3]) for row in shown)
        more = len(rows) > window.limit
        return Listed(users, count[0][0], write_cursor(listed, [shown[-1][4], shown[-1][1]]) if more else None)

    async def profile(self, tenant: Tenant, user_id: str) -> Profile:
        """Return what is known of a user, under all ids that are theirs.

        Raises:
            NotFound: Nobody has seen one of this id.
        """
        person = await self._links.person(tenant, user_id)
        users = [person.user_id, *person.other_ids]
        waiting = await self._waiting.of_person(tenant, person)
        params = _of_user(tenant, users, waiting)
        ((count, types, first, last),) = await self._rows(_SUMMARY, params, person)
        if not count:
            raise NotFound("Nobody has seen a user of this id.", code="user_not_found")
        stored = await self._rows(_TRAITS, {"tenant": tenant.id, "users": users}, person)
        return Profile(person.user_id, count, types, first, last, properties=_traits(stored, waiting))

    async def events(
        self, tenant: Tenant, user_id: str, which: WhichEvents = _ALL, window: Window = FIRST_PAGE
    ) -> Listed[UserEvent]:
        """Return what a user did, under all ids that are theirs, the newest first; of somebody nobody has seen, nothing.

        A payload is as it was sent, but for what the store does not keep: the order of keys, nulls, empty objects and lists
        of them. What waits to be forwarded is as it was sent.
        """
        first, last = which.since or EARLIEST, LATEST if which.until is None else which.until - MICROSECOND
        listed = [tenant.id, "events", user_id, which.event_type, first, last]
        before, before_id = LATEST, _LAST_ID
        if window.cursor:
            microseconds, before_id = read_cursor(listed, window.cursor, tuple[int, str])
            before = EARLIEST + timedelta(microseconds=microseconds)
        person = await self._links.person(tenant, user_id)
        users = [person.user_id, *person.other_ids]
        waiting = await self._waiting.of_person(tenant, person)
        params = _of_user(tenant, users, waiting)
        params |= {"event_type": which.event_type or "", "first": first, "last": last}
        ((count,),) = await self._rows(_COUNT_EVENTS, params, person)
        place = {"before": before, "before_id": before_id, "limit": window.limit + 1, "offset": window.offset}
        rows = await self._rows(_EVENTS, {**params, **place}, person)
        shown, cursor = rows[: window.limit], None
        if len(rows) > window.limit:
            cursor = write_cursor(listed, [(shown[-1][1] - EARLIEST) // MICROSECOND, shown[-1][2]])
        payloads = await self._payloads(tenant, person, shown, waiting)
        found = [UserEvent(one[2], one[0], one[1], msgspec.json.decode(payloads[one])) for one in shown]
        return Listed(tuple(found), count, cursor)

    async def _payloads(
        self, tenant: Tenant, person: Person, shown: Sequence[_Place], waiting: Iterable[Event]
    ) -> dict[_Place, str]:
        texts = {(event.event_type, event.occurred_at, event.event_id): event.payload for event in waiting}
        if stored := [one for one in shown if one not in texts]:
            params = {
                "tenant": tenant.id,
                "users": [person.user_id, *person.other_ids],
                "types": sorted({type_ for type_, _, _ in stored}),
                "ids": [event_id for _, _, event_id in stored],
                "first": stored[-1][1],
                "last": stored[0][1],
            }
            rows = await self._rows(_PAYLOADS, params, person)
            texts |= {(type_, at, event_id): text for type_, at, event_id, text in rows}
        return texts

    async def _rows(self, sql: str, params: Mapping[str, Any], of: Person | Merge) -> list[Any]:
        """Ask about a person, or about all users as *of* puts together what shards answer."""
        if isinstance(of, Person):
            return (await self._clickhouse.fetch(sql, params, purpose="preview", user=of.user_id)).rows
        return (await self._clickhouse.fetch(sql, params, purpose="preview", merge=of)).rows


def _of_user(tenant: Tenant, users: Sequence[str], waiting: Sequence[Event]) -> dict[str, Any]:
    return {
        "tenant": tenant.id,
        "users": users,
        "waiting_types": [event.event_type for event in waiting],
        "waiting_times": [event.occurred_at for event in waiting],
        "waiting_ids": [event.event_id for event in waiting],
    }


_Newest = tuple[datetime, bytes]
"""What orders the values of a trait."""


def _traits(stored: Iterable[tuple[str, tuple[datetime, str], str]], waiting: Iterable[Event]) -> dict[str, Any]:
    """Return the newest value of every trait, without those that were removed; by name."""
    known = dict[str, tuple[_Newest, Any]]()
    for name, (at, event_id), text in stored:
        known[name] = (at, event_id.encode()), msgspec.json.decode(text).get(_VALUE)
    for event in waiting:
        if event.event_type == IDENTIFY:
            newest = event.occurred_at, event.event_id.encode()
            for name, value in msgspec.json.decode(event.payload).items():
                if name not in known or known[name][0] < newest:
                    known[name] = newest, value
    return {name: value for name, (_, value) in sorted(known.items()) if value is not None}
