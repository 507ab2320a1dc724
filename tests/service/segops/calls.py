"""A table of calls: every method of SegOps' SDKs that belongs to this product, with its route and a check that calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from msgspec import Struct
from segops_admin import SegOpsApiError

from tests.service.segops.world import World


class Call(Struct, frozen=True):
    """A method of an SDK, the route that it calls, and a check that calls it."""

    method: str
    route: str
    check: Callable[[World], None]


CALLS: Final[list[Call]] = []
"""Filled by `library`, `ingestion` and `commands`."""

ANA: Final = "ana/ñ %2F"


def calls(method: str, route: str) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    """Note a check as that of a method."""

    def note(check: Callable[[World], None]) -> Callable[[World], None]:
        CALLS.append(Call(method, route, check))
        return check

    return note


def missing(call: Callable[[], Any]) -> None:
    """Whatever is asked for must not be there, in the words that SegOps' README promises."""
    with pytest.raises(SegOpsApiError) as raised:
        call()
    assert raised.value.status == 404
    assert raised.value.body["detail"]


def users(page: dict[str, Any]) -> list[str]:
    """The user ids of a page."""
    return [each["user_id"] for each in page["results"]]


def schema(world: World, **fields: Any) -> dict[str, Any]:
    """A new event schema with an amount that must be there."""
    properties = [{"name": "total", "type": "number", "description": "With tax", "required": True}]
    name = world.name("kind").replace(" ", "_")
    return world.admin.schemas.create({"event_type": name, "properties": properties} | fields)
