"""Random data sets, loaded the way events arrive, and a definition read twice over them: by the compiler and by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.audiences.spread import Ranks
from segment_copilot.compiler import CompiledQuery, Plan, Shape, TraitTable, bind, compile_definition, render_members
from segment_copilot.events import Forwarding, Ingestion
from segment_copilot.events.identity_links import IdentityLinks
from segment_copilot.language import Definition, parse
from segment_copilot.language.catalog import Catalog, EventType, Property
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ROWS
from segment_copilot.stores.postgres import Postgres
from tests.support.engines import SHARDS
from tests.support.language.reference import (
    IDENTIFY,
    Event,
    Person,
    Reading,
    Said,
    canonical_ids,
    is_circle,
    people,
)
from tests.support.language.strategies import AS_OFS, DECLARED, EVENT_TYPES, ZONES, Draw, World, world

Json = dict[str, Any]

USERS = 200
STRANGE_USERS = ("it's", "a\\b", "ñ🙂", "line\nbreak", "%_", "' OR 1=1 --", "{as_of:String}", " ", "Ω" * 120)
SEGMENT_IDS = (1, 2, 3)
RECEIVED = datetime(2026, 11, 1, tzinfo=UTC)
_CHUNK = 400

_DECLARED = {path: Property(path, declared=declared) for path, declared in DECLARED.items()}
_TYPED = EVENT_TYPES[:2]
"""The event types that have a schema; the others have none."""


FEW_STEPS = 16
"""So few values shards tell at once, that they have to be asked again."""


class DataSet(Struct, frozen=True):
    """A tenant with everything that was delivered for it, in order, and the segments that definitions refer to."""

    seed: int
    world: World
    tenant: Tenant
    deliveries: tuple[Event, ...]
    references: Mapping[int, Json]
    said: tuple[Said, ...] = ()

    @property
    def catalog(self) -> Catalog:
        types = {name: EventType(name, properties=_DECLARED if name in _TYPED else {}) for name in EVENT_TYPES}
        return Catalog(self.tenant.timezone, types, _DECLARED)

    @property
    def schemas(self) -> dict[str, Mapping[str, str]]:
        return {name: DECLARED if name in (*_TYPED, IDENTIFY) else {} for name in (*EVENT_TYPES, IDENTIFY)}

    @property
    def bound_references(self) -> dict[int, Definition]:
        """The segments as they are saved, each after those it may refer to."""
        bound = dict[int, Definition]()
        for id_, segment in sorted(self.references.items()):
            bound[id_] = bind(parse(segment), self.catalog, bound).definition
        return bound

    def read(self, definition: Json, as_of: datetime, universe: Mapping[str, Person]) -> set[str]:
        """The members by the reference interpreter."""
        reading = Reading(as_of, self.tenant.timezone, self.references, self.schemas)
        return reading.members(definition, universe)

    def universe(self, as_of: datetime) -> dict[str, Person]:
        return people(self.deliveries, as_of, self.said)

    def person(self, user_id: str) -> tuple[str, tuple[str, ...]]:
        """Whose the id is, and their other ids."""
        whose = canonical_ids(self.said)
        user_id = whose.get(user_id, user_id)
        return user_id, tuple(sorted(one for one, of in whose.items() if of == user_id))

    def plan(self, definition: Json, as_of: datetime) -> Plan:
        return compile_definition(
            parse(definition),
            catalog=self.catalog,
            references=self.bound_references,
            tenant_id=self.tenant.id,
            as_of=as_of,
            linked=bool(self.said),
            spread=SHARDS > 1,
        ).plan

    async def asked(self, clickhouse: ClickHouse, *definitions: Json, as_of: datetime) -> list[Plan]:
        """The plans, whose ranks have bounds where users are on several shards."""
        return await ranked(clickhouse, [self.plan(definition, as_of) for definition in definitions])

    async def compile(
        self,
        clickhouse: ClickHouse,
        definition: Json,
        as_of: datetime,
        *,
        shape: Shape | None = None,
        traits: TraitTable = "current",
    ) -> CompiledQuery:
        """The query for the members."""
        (plan,) = await self.asked(clickhouse, definition, as_of=as_of)
        return render_members(plan, shape=shape, traits=traits)


async def ranked(clickhouse: ClickHouse, plans: Sequence[Plan]) -> list[Plan]:
    """The plans with bounds, for which shards tell few values at once: so that they have to be asked several times."""
    return await Ranks(clickhouse, steps=FEW_STEPS).bounded(plans, purpose="compute")


async def fetch_members(clickhouse: ClickHouse, query: CompiledQuery) -> set[str]:
    """The members by the compiled SQL; each is there once."""
    rows = (await clickhouse.fetch(query.sql, query.params, purpose="compute", merge=ROWS)).rows
    found = [row[1] for row in rows]
    assert len(found) == len(set(found))
    return set(found)


# Drawing and loading.


def draw_world(seed: int) -> World:
    """Two instants and three zones to ask about."""
    first = 2 * seed % len(AS_OFS)
    zones = tuple(dict.fromkeys(ZONES[(seed + step) % len(ZONES)] for step in (0, 1, 3)))
    return world((AS_OFS[first], AS_OFS[(first + 1) % len(AS_OFS)]), zones)


def user_ids(users: int = USERS) -> list[str]:
    """Some strange, every third anonymous."""
    usual = range(users - len(STRANGE_USERS))
    return [*STRANGE_USERS, *(f"anon_{number}" if number % 3 == 1 else f"u{number}" for number in usual)]


def draw_deliveries(draw: Draw, users: Sequence[str]) -> list[Event]:
    """Everyone's events in a random order, some delivered twice, and names that crowd out the others."""
    events = [event for user in users for event in draw.history(user)]
    events += draw.random.sample(events, len(events) // 10)
    draw.random.shuffle(events)
    crowd = [
        Event("u0", "view", draw.world.times[0], {f"crowd{number}": number for number in range(150)}),
        Event("u0", IDENTIFY, draw.world.times[0], {"nested": {f"crowd{number}": number for number in range(40)}}),
    ]
    return [*(crowd if draw.chance(2) else []), *events]


def draw_said(draw: Draw, users: Sequence[str]) -> list[Said]:
    """Links of a good half of the ids: first claims and later ones, merges, chains of both, and ids nobody has seen."""
    anonymous = [user for user in users if user.startswith("anon_")]
    known = [user for user in users if not user.startswith("anon_")]
    said: list[Said] = []
    for _ in range(len(users) // 2):
        if draw.chance(3):
            into = draw.one([*known, draw.one(anonymous), "never seen"])
            merge = Said("merge", draw.one(users), into)
            if not is_circle(said, merge):
                said.append(merge)
        else:
            said.append(Said("alias", draw.one([*anonymous, "anon_never"]), draw.one([*known, "never seen"])))
    return said


async def say(postgres: Postgres, clickhouse: ClickHouse, tenant: Tenant, said: Iterable[Said]) -> None:
    """As a client and the worker do it; some of them arrive in ClickHouse before others are said."""
    links = IdentityLinks(postgres, clickhouse)
    for number, one in enumerate(said):
        if one.kind == "merge":
            await links.merge(tenant, one.id, one.of)
        else:
            await links.alias(tenant, one.id, one.of)
        if number % 16 == 0:
            await links.forward_next()
    await links.forward_next()


async def load_data_set(
    postgres: Postgres, clickhouse: ClickHouse, seed: int, *, linked: bool = False, users: int = USERS
) -> DataSet:
    """A tenant with drawn users, and a decoy with the same user and event ids and other events (and links)."""
    draw = Draw(seed, draw_world(seed))
    zone = draw.one(draw.world.zones)
    tenant = await Tenants(postgres).create(f"data-{seed}", timezone=zone)
    decoy = await Tenants(postgres).create(f"decoy-{seed}", timezone=zone)
    ids = user_ids(users)
    deliveries = draw_deliveries(draw, ids)
    said = draw_said(draw, ids) if linked else []
    await deliver(postgres, clickhouse, decoy, deliveries=draw_deliveries(draw, ids))
    if linked:
        await say(postgres, clickhouse, decoy, draw_said(draw, ids))
        await say(postgres, clickhouse, tenant, said[: len(said) // 2])
    await deliver(postgres, clickhouse, tenant, deliveries=deliveries)
    await say(postgres, clickhouse, tenant, said[len(said) // 2 :])
    if draw.chance(2):  # as background merges leave it, which move values between kinds of columns
        for table in ("events", "traits", "traits_current", "users", "identity_links"):
            await clickhouse.execute(f"OPTIMIZE TABLE {table} FINAL", purpose="migrate")
    references = {id_: {"timezone": zone} | draw.definition() for id_ in SEGMENT_IDS}
    return DataSet(seed, draw.world, tenant, tuple(deliveries), references, tuple(said))


async def deliver(
    postgres: Postgres, clickhouse: ClickHouse, tenant: Tenant, *, deliveries: Sequence[Event], chunk: int = _CHUNK
) -> None:
    """As a client and the worker do it, in several requests and blocks."""
    for start in range(0, len(deliveries), chunk):
        sent = [sent_event(event) for event in deliveries[start : start + chunk]]
        accepted = await Ingestion(postgres).accept(tenant, sent, received_at=RECEIVED)
        assert not accepted.skipped, accepted.skipped
        while await Forwarding(postgres, clickhouse).forward_next():
            pass


def sent_event(event: Event) -> Json:
    """The event as a client writes it."""
    return {
        "user_id": event.user_id,
        "event_type": event.event_type,
        "occurred_at": event.occurred_at.isoformat(),
        "payload": event.payload,
        "event_id": event.event_id,
    }


# Where two readings part.

Way = tuple[Shape, TraitTable]
WAYS: tuple[Way, ...] = (("chain", "current"), ("bitmasks", "current"), ("chain", "history"), ("bitmasks", "history"))
"""Every way in which a definition can be compiled, and so has to be."""


def leaves_of(group: Json) -> Iterator[Json]:
    """The conditions of a definition that are no groups."""
    for condition in [*group["conditions"], *group.get("exclude", {}).get("conditions", [])]:
        if condition["type"] == "group":
            yield from leaves_of(condition)
        else:
            yield condition


async def explain_difference(
    clickhouse: ClickHouse,
    data: DataSet,
    definition: Json,
    *,
    as_of: datetime,
    universe: Mapping[str, Person],
    way: Way = ("chain", "current"),
) -> str:
    """The conditions that are read differently on their own, each with its SQL and a user it is about."""
    shape, traits = way
    told = [
        f"{shape}, traits from {traits}; seed {data.seed}, as_of {as_of.isoformat()}, {definition.get('timezone') or data.tenant.timezone}"
    ]
    zone = {"timezone": definition["timezone"]} if "timezone" in definition else {}
    for leaf in leaves_of(definition):
        alone: Json = {"logic": "AND", "conditions": [leaf]} | zone
        query = await data.compile(clickhouse, alone, as_of, shape=shape, traits=traits)
        compiled, read = await fetch_members(clickhouse, query), data.read(alone, as_of, universe)
        if compiled != read:
            told += [json.dumps(leaf, ensure_ascii=False), query.sql, json.dumps(query.params, default=str)]
            told += [_told_person(universe[user], compiled) for user in sorted(compiled ^ read)[:2]]
    if len(told) == 1:
        told.append(f"no condition differs on its own: {json.dumps(definition, ensure_ascii=False)}")
    return "\n".join(told)


def _told_person(person: Person, compiled: set[str]) -> str:
    verdict = "compiled in, read out" if person.user_id in compiled else "compiled out, read in"
    events = [f"  {e.occurred_at.isoformat()} {e.event_id!r} {e.event_type!r} {e.payload!r}" for e in person.events]
    return "\n".join([f"{person.user_id!r}: {verdict}; traits {person.traits!r}", *events])
