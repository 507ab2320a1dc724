"""Says whether two definitions have the same members: by their form, and where it differs by data on whose edges they lie."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from evals.corpus.tenants import Tenant, tenant
from evals.definitions import SegmentIds, walk, with_ids, with_names
from evals.fixtures.boundary import Vocabulary, users_of
from evals.fixtures.rows import AS_OF, IDENTIFY, Row
from segment_copilot.language import Definition
from segment_copilot.language.equivalence import Form, form_of
from segment_copilot.language.nodes import EventTypes
from segment_copilot.language.operators import ValueType
from tests.support.language.reference import Event, Person, Reading, people  # the plain-Python interpreter

USERS: Final = 120
"""So many people of a tenant are looked at; those on the edges of two definitions come on top."""


def form_in(name: str, definition: Definition) -> Form:
    """Return the form of a definition in a tenant; the very instant at a length's edge makes no difference."""

    def declared(event_types: EventTypes | None, path: str) -> ValueType | None:
        return _declared(tenant(name), event_types, path)

    return form_of(definition, declared, is_exact=False)


def _declared(where: Tenant, event_types: EventTypes | None, path: str) -> ValueType | None:
    if event_types is None:
        known = [where.catalog.traits]
    else:
        types = where.catalog.event_types
        names = [event_types] if isinstance(event_types, str) else event_types
        known = [types[one].properties if one in types else {} for one in (types if names == ["*"] else names)]
    found: set[ValueType | None] = {properties[path].declared if path in properties else None for properties in known}
    return found.pop() if len(found) == 1 else None


def are_same(name: str, one: Definition, other: Definition) -> bool:
    """Return whether two definitions select the same people of a tenant, as far as form or data tell."""
    if form_in(name, one) == form_in(name, other):
        return True
    documents = [msgspec.to_builtins(definition) for definition in (one, other)]
    if not tenant(name).rows:
        return False
    believed, here = _sampled(name), _reading(name)
    if any(here.has(documents[0], person) != here.has(documents[1], person) for person in believed.values()):
        return False
    edges = people(_events(_edges(name, documents)), AS_OF)
    return here.members(documents[0], edges) == here.members(documents[1], edges)


@lru_cache(maxsize=16)
def _sampled(name: str) -> Mapping[str, Person]:
    """Return some people of a tenant, the same at every run."""
    rows = tenant(name).rows
    users = sorted({row.user_id for row in rows})
    chosen = set(users[:: max(1, len(users) // USERS)])
    return people(_events([row for row in rows if row.user_id in chosen]), max(tenant(name).as_of, AS_OF))


@lru_cache(maxsize=16)
def _reading(name: str) -> Reading:
    here = tenant(name)
    ids = SegmentIds(here.segments)
    references = {here.segments[seed.name]: with_ids(seed.definition, ids) for seed in here.seeds}
    types: dict[str, Any] = dict(here.catalog.event_types)
    declared: dict[str, Any] = {key: _types_of(one.properties) for key, one in types.items()}
    declared[IDENTIFY] = _types_of(here.catalog.traits)
    return Reading(max(here.as_of, AS_OF), here.catalog.timezone, _Known(references), declared)


class _Known(dict[int, Any]):
    """Holds definitions of segments; of one that is not known nobody is a member."""

    def __missing__(self, number: int) -> Any:
        return {"logic": "AND", "conditions": [{"type": "sample", "salt": f"segment {number}", "from": 0, "to": 50}]}


def _types_of(properties: Mapping[str, Any]) -> dict[str, str]:
    return {path: one.declared for path, one in properties.items() if one.declared}


def _events(rows: list[Row]) -> list[Event]:
    return [
        Event(row.user_id, row.event_type, row.occurred_at, dict(row.payload), str(number))
        for number, row in enumerate(rows)
    ]


_SPELLED: Final[Mapping[str, Mapping[str, Any]]] = {
    "event_count": {"operator": "gte", "value": 1},
    "segment_membership": {"operator": "in"},
    "event_property": {"occurrence": "latest"},
    "event_time": {"occurrence": "first"},
}
"""What a definition may leave out, and the fixtures look at."""


def _edges(name: str, documents: list[dict[str, Any]]) -> list[Row]:
    """Return users who lie on the edges of the definitions, as far as the fixtures can make them."""
    here, found = tenant(name), list[Row]()
    for place, document in enumerate(documents):
        named = with_names(document, SegmentIds(here.segments))
        for _path, condition in walk(named):
            for field, value in _SPELLED.get(condition["type"], {}).items():
                condition.setdefault(field, value)
        try:
            made = users_of(
                str(place), named, vocabulary=_vocabulary(name), segments=here.seeds, timezone=here.catalog.timezone
            )
            found += made
        except (
            LookupError,
            ArithmeticError,
            ValueError,
            TypeError,
            RuntimeError,
        ):  # a form that the fixtures do not know
            continue
    return found


@lru_cache(maxsize=16)
def _vocabulary(name: str) -> Vocabulary:
    return Vocabulary(tenant(name).rows)
