"""A tenant of the corpus is a catalog, what has happened in it, and the instant at which its sentences are said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from evals.fixtures import TENANTS, believable
from evals.fixtures.catalogs import catalog_of
from evals.fixtures.rows import AS_OF, Dataset, Row, SegmentSeed
from segment_copilot.language.catalog import Catalog
from tests.support.english import catalogs as tests  # the tests' own: their sentences are said of them

PUBLIC: Final = Path(__file__).parent / "public_tenants.json"
PUBLIC_AS_OF: Final = datetime.fromisoformat("2026-06-30T12:00:00Z")


class Tenant(Struct, frozen=True):
    """Holds whose sentences they are. Without *rows* there is only the catalog."""

    name: str
    catalog: Catalog
    as_of: datetime
    rows: tuple[Row, ...] = ()
    seeds: tuple[SegmentSeed, ...] = ()  # its saved segments, which name others

    @property
    def segments(self) -> Mapping[str, int]:
        """Return the ids of the saved segments by name."""
        return {segment.name: number for number, segment in self.catalog.segments.items()}


@lru_cache(maxsize=1)
def _public() -> Mapping[str, list[dict[str, Any]]]:
    return msgspec.json.decode(PUBLIC.read_bytes())


def tenant_names() -> tuple[str, ...]:
    """Return the names of all tenants that sentences may be about."""
    return (*TENANTS, "demo", "ecom", *_public())


@lru_cache(maxsize=64)
def tenant(name: str) -> Tenant:
    """Return a tenant: of the fixtures, of the tests, or one of the small public ones. Raises KeyError for any other."""
    if name in TENANTS:
        data = believable(name)
        return Tenant(name, catalog_of(data), AS_OF, data.rows, data.segments)
    if name == "demo":  # the same shop, a week before and elsewhere
        rows = tuple(row for row in believable("shop").rows if row.occurred_at <= tests.AS_OF)
        return Tenant(name, tests.DEMO, tests.AS_OF, rows)
    if name == "ecom":
        return Tenant(name, tests.ECOM, tests.AS_OF)
    rows = tuple(msgspec.convert(row, Row) for row in _public()[name])
    data = Dataset(tenant=name, name="believable", business="", timezone="UTC", schemas=(), segments=(), rows=rows)
    return Tenant(name, catalog_of(data), PUBLIC_AS_OF, rows)


def segment_ids() -> Mapping[str, Mapping[str, int]]:
    """Return the ids of saved segments by tenant and name."""
    return _Segments()


class _Segments(Mapping[str, Mapping[str, int]]):
    """Makes a tenant only when a file is about it."""

    def __getitem__(self, name: str) -> Mapping[str, int]:
        if name not in tenant_names():
            raise KeyError(name)
        return tenant(name).segments

    def __iter__(self) -> Any:
        return iter(tenant_names())

    def __len__(self) -> int:
        return len(tenant_names())
