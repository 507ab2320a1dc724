"""Holds what is true of a tenant, read from its fixtures and not through the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from evals.cases import Fact
from evals.fixtures.edges import midnight
from evals.fixtures.rows import AS_OF, IDENTIFY, Dataset, values_by_path


class Truth:
    """Names, values and counts of one tenant; counts are those of its believable dataset."""

    def __init__(self, found: Sequence[Dataset]) -> None:
        self._believable = next(one for one in found if one.name == "believable")
        self.timezone = self._believable.timezone
        self.segments = [segment.name for segment in self._believable.segments]
        self.event_types: dict[str, set[str]] = {}
        self._values: dict[tuple[str, str], set[str]] = {}
        for schema in self._believable.schemas:
            self.event_types[schema.event_type] = {one.name for one in schema.properties}
        for dataset in found:
            for row in dataset.rows:
                self._see(row.event_type, row.payload)

    def _see(self, event_type: str, payload: Mapping[str, Any]) -> None:
        paths = self.event_types.setdefault(event_type, set())
        for path, value in values_by_path(payload):
            paths.add(path)
            for one in value if isinstance(value, list) else [value]:
                self._values.setdefault((event_type, path), set()).add(str(one))

    @property
    def traits(self) -> set[str]:
        """Return the paths of traits."""
        return self.event_types.get(IDENTIFY, set())

    def has_value(self, event_type: str, path: str, value: Any) -> bool:
        """Return whether some event (or identify) holds that text there, in any case, or as a part of it."""
        wanted = str(value).casefold()
        return any(wanted in one.casefold() for one in self._values.get((event_type, path), ()))

    def count(self, fact: Fact) -> int:
        """Count events of a type in a range of local days, none after AS_OF."""
        return sum(self._counted(fact).values())

    def ranking(self, fact: Fact) -> list[tuple[str, int]]:
        """Rank event types by how often they happened in the range."""
        return sorted(self._counted(fact).items(), key=lambda pair: (-pair[1], pair[0]))[: fact.limit]

    def _counted(self, fact: Fact) -> Counter[str]:
        zone = ZoneInfo(self.timezone)
        start = _start(fact.start, zone)
        end = _start(fact.end, zone) if fact.end else None
        return Counter(
            row.event_type
            for row in self._believable.rows
            if row.event_type != IDENTIFY
            and fact.event_type in ("", row.event_type)
            and (start is None or row.occurred_at >= start)
            and (row.occurred_at < end if end else row.occurred_at <= AS_OF)
        )


def _start(day: str, zone: ZoneInfo) -> datetime | None:
    return midnight(date.fromisoformat(day), zone) if day else None
