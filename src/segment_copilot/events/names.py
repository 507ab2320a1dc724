"""Observes the event types, properties and traits that a tenant has used, with types and samples, for the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct, field

from segment_copilot.events.rows import Event
from segment_copilot.language.catalog import MAX_SAMPLE_LENGTH, MAX_SAMPLES, Scalar
from segment_copilot.stores.postgres import Connection, Postgres

MAX_PATHS = 1000  # of one event type: a payload whose keys are ids would otherwise fill the catalog
MAX_PATH_BYTES = 1000  # with the event type it has to fit an index entry of 2.7 kB

Kind = Literal["string", "number", "boolean", "list"]
_KINDS: Mapping[type, Kind] = {str: "string", int: "number", float: "number", bool: "boolean", list: "list"}

_UPSERT = f"""
INSERT INTO observed_names (tenant_id, event_type, path, types, samples, event_count, first_seen, last_seen)
SELECT tenant_id, event_type, path, string_to_array(types, ' '), samples::jsonb, event_count, first_seen, last_seen
FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::timestamptz[])
    AS name (tenant_id, event_type, path, types, samples, event_count, first_seen, last_seen)
ORDER BY tenant_id, event_type, path -- so that two workers wait for each other instead of locking each other out
ON CONFLICT (tenant_id, event_type, path) DO UPDATE SET
    types = ARRAY(SELECT DISTINCT kind FROM unnest(observed_names.types || excluded.types) AS kind ORDER BY kind),
    samples = (
        SELECT coalesce(jsonb_agg(value ORDER BY place), '[]') FROM (
            SELECT value, min(place) AS place
            FROM jsonb_array_elements(observed_names.samples || excluded.samples) WITH ORDINALITY AS one (value, place)
            GROUP BY value ORDER BY min(place) LIMIT {MAX_SAMPLES}
        ) AS kept
    ),
    event_count = observed_names.event_count + excluded.event_count,
    first_seen = least(observed_names.first_seen, excluded.first_seen),
    last_seen = greatest(observed_names.last_seen, excluded.last_seen)
"""


class _Seen:
    """Holds what is known of one path, or new of it in one block of events."""

    __slots__ = ("first_seen", "kinds", "last_seen", "samples")

    def __init__(self, at: datetime) -> None:
        self.first_seen = self.last_seen = at
        self.kinds: set[Kind] = set()
        self.samples: dict[tuple[type, Scalar], None] = {}  # the type keeps 1 and true apart

    def add(self, other: _Seen) -> None:
        self.kinds |= other.kinds
        self.samples |= other.samples

    def knows(self, kind: Kind, samples: Iterable[tuple[type, Scalar]]) -> bool:
        """Return whether seeing this again would tell nothing new."""
        return kind in self.kinds and (len(self.samples) >= MAX_SAMPLES or all(one in self.samples for one in samples))


class ObservedNames(Struct):
    """Holds paths by tenant and event type: those a process has written already, or those new in a block.

    A process keeps one of these so that a block of nothing new costs only its counts. Path '' stands for the event
    type itself.
    """

    paths: dict[tuple[int, str], dict[str, _Seen]] = field(default_factory=dict[tuple[int, str], dict[str, _Seen]])
    event_counts: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])

    def add(self, new: ObservedNames) -> None:
        """Remember *new*, which has been written."""
        for event_type, paths in new.paths.items():
            known = self.paths.setdefault(event_type, {})
            for path, seen in paths.items():
                known.setdefault(path, _Seen(seen.first_seen)).add(seen)


def find_new_names(events: Iterable[Event], *, known: ObservedNames) -> ObservedNames:
    """Return the names in *events* that are not *known*, and how many events there are of each type."""
    new = ObservedNames()
    for event in events:
        event_type = (event.tenant_id, event.event_type)
        paths = new.paths.setdefault(event_type, {})
        itself = paths.setdefault("", _Seen(event.occurred_at))
        itself.first_seen = min(itself.first_seen, event.occurred_at)
        itself.last_seen = max(itself.last_seen, event.occurred_at)
        new.event_counts[event_type] = new.event_counts.get(event_type, 0) + 1
        _add_paths(event, paths, known.paths.get(event_type, {}))
    return new


def _add_paths(event: Event, paths: dict[str, _Seen], known: Mapping[str, _Seen]) -> None:
    for path, value in _leaves(msgspec.json.decode(event.payload), ""):
        kind = _KINDS[type(value)]
        samples = [(type(one), one) for one in _samples(value)]
        if (seen := known.get(path)) and seen.knows(kind, samples):
            continue
        if (seen := paths.get(path)) is None:
            is_new = path not in known
            if is_new and (len(known) + len(paths) > MAX_PATHS or len(path.encode()) > MAX_PATH_BYTES):
                continue
            seen = paths[path] = _Seen(event.occurred_at)
        seen.kinds.add(kind)
        if len(seen.samples) < MAX_SAMPLES:
            seen.samples.update(dict.fromkeys(samples))


def _leaves(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield path and value of everything in *value* but nulls, objects and empty keys, which no definition names."""
    for key, item in value.items():
        if item is None or not key:
            continue
        step = key.replace("\\", "\\\\").replace(".", "\\.") if "." in key or "\\" in key else key
        if type(item) is dict:
            yield from _leaves(cast("dict[str, Any]", item), f"{prefix}{step}.")
        else:
            yield f"{prefix}{step}", item


def samples_in(payload: str) -> Iterator[tuple[str, Scalar]]:
    """Yield what a payload may have given a catalog to show, by path."""
    for path, value in _leaves(msgspec.json.decode(payload), ""):
        for sample in _samples(value):
            yield path, sample


def _samples(value: Any) -> list[Scalar]:
    """Return what of *value* is worth showing: itself, or the elements of a list."""
    items = cast("list[Any]", value) if type(value) is list else [value]
    return [
        item
        for item in items
        if type(item) in (int, float, bool) or (type(item) is str and len(item) <= MAX_SAMPLE_LENGTH)
    ]


async def write_names(connection: Connection | Postgres, new: ObservedNames) -> None:
    """Add *new* to what is stored; its counts are added too, so call it once for each event."""
    rows = [
        (tenant_id, event_type, path, seen)
        for (tenant_id, event_type), paths in new.paths.items()
        for path, seen in paths.items()
    ]
    if not rows:
        return
    await connection.execute(
        _UPSERT,
        [tenant_id for tenant_id, _, _, _ in rows],
        [event_type for _, event_type, _, _ in rows],
        [path for _, _, path, _ in rows],
        [" ".join(sorted(seen.kinds)) for _, _, _, seen in rows],
        [_json_samples(seen) for _, _, _, seen in rows],
        [0 if path else new.event_counts[tenant_id, event_type] for tenant_id, event_type, path, _ in rows],
        [seen.first_seen for _, _, _, seen in rows],
        [seen.last_seen for _, _, _, seen in rows],
    )


def _json_samples(seen: _Seen) -> str:
    return msgspec.json.encode([value for _, value in list(seen.samples)[:MAX_SAMPLES]]).decode()


async def observe_names(connection: Connection | Postgres, events: Iterable[Event]) -> None:
    r"""Record and count the names that *events* use; for whoever writes blocks without being the worker.

    Paths walk objects (`a.b`; a dot in a key is `\.`, a backslash `\\`); a list is one value of type list, sampled
    by its elements; null is no value; of each path at most 50 samples are kept.
    """
    await write_names(connection, find_new_names(events, known=ObservedNames()))
