"""Connectors: where a segment's members are sent. Secrets never leave this module in the clear."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from segment_copilot.stores.postgres import Postgres

MASK: Final = "***"
_SECRET = re.compile(r"key|secret|token|password|credential|authorization", re.IGNORECASE)

_LIST = """
SELECT a.id, a.connector_type, a.segment_id, s.name AS segment_name, a.config, a.status, a.last_synced_at, a.last_error
FROM activations a JOIN segments s ON s.id = a.segment_id AND s.tenant_id = a.tenant_id
WHERE a.tenant_id = $1
ORDER BY a.id
LIMIT $2
"""


class Activation(Struct, frozen=True):
    """A connector of a segment. *config* has its secrets masked."""

    id: int
    connector_type: str
    segment_id: int
    segment_name: str
    config: Mapping[str, Any]
    status: str
    last_synced_at: datetime | None
    last_error: str | None


async def list_activations(postgres: Postgres, tenant_id: int, *, limit: int = 1000) -> tuple[Activation, ...]:
    """The tenant's connectors, oldest first."""
    rows = await postgres.fetch(_LIST, tenant_id, limit)
    return tuple(
        Activation(
            id=row["id"],
            connector_type=row["connector_type"],
            segment_id=row["segment_id"],
            segment_name=row["segment_name"],
            config=masked(msgspec.json.decode(row["config"])),
            status=row["status"],
            last_synced_at=row["last_synced_at"],
            last_error=row["last_error"],
        )
        for row in rows
    )


def masked(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """*config* with `***` in place of every secret, however deep."""
    return {key: MASK if _SECRET.search(key) else _masked(value) for key, value in config.items()}


def _masked(value: object) -> object:
    match value:
        case dict():
            return masked(cast("dict[str, Any]", value))
        case list():
            return [_masked(item) for item in cast("list[object]", value)]
        case _:
            return value
