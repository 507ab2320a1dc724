"""Holds the catalog of each tenant, made once, and the ids of its saved segments by their names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from evals.fixtures import believable
from evals.fixtures import catalogs as fixtures
from segment_copilot.language.catalog import Catalog


@lru_cache(maxsize=8)
def catalog_of(tenant: str) -> Catalog:
    """Return what exists in a tenant of the evaluation. Raises KeyError when there is no such tenant."""
    return fixtures.catalog_of(believable(tenant))


@lru_cache(maxsize=8)
def segment_ids(tenant: str) -> Mapping[str, int]:
    """Return the ids of the saved segments of a tenant by their names."""
    return {segment.name: number for number, segment in catalog_of(tenant).segments.items()}
