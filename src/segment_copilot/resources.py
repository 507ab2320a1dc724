"""Opens everything that a process opens once, in order, and closes it in reverse."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from msgspec import Struct

from segment_copilot.audiences.explanations import Explanations
from segment_copilot.audiences.membership import Memberships
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.segments import Segments
from segment_copilot.errors import InvalidInput
from segment_copilot.events.discovery import Discovery
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse import ClickHouse, open_clickhouse
from segment_copilot.stores.postgres import Postgres, open_postgres


class Resources(Struct, frozen=True):
    """The stores, and the use cases that stand on them."""

    settings: Settings
    postgres: Postgres
    clickhouse: ClickHouse
    discovery: Discovery
    previews: Previews
    explanations: Explanations
    segments: Segments
    memberships: Memberships


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncGenerator[Resources]:
    """Connect now, so that a wrong URL fails the start and not the first request."""
    if not (settings.database_url and settings.clickhouse_url):
        detail = "Set DATABASE_URL and CLICKHOUSE_URL, or run `segment-copilot dev`, which brings both engines."
        raise InvalidInput(detail, code="invalid_settings")
    async with (
        open_postgres(settings.database_url, pool=settings.postgres_pool) as postgres,
        open_clickhouse(
            settings.clickhouse_url, pool=settings.clickhouse_pool, cluster=settings.clickhouse_cluster
        ) as clickhouse,
    ):
        discovery = Discovery(postgres)
        previews = Previews(postgres, clickhouse, discovery)
        segments = Segments(postgres, clickhouse, discovery, previews)
        explanations = Explanations(clickhouse, previews)
        memberships = Memberships(postgres, clickhouse, segments, previews)
        yield Resources(settings, postgres, clickhouse, discovery, previews, explanations, segments, memberships)
