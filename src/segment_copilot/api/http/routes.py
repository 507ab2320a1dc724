"""Holds what a route declares beside its path: who may call it, how it fails, what it streams."""

from __future__ import annotations

from typing import Any, Final

from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from segment_copilot.errors import SegmentCopilotError

_KEY: Final = "route"

SECONDS: Final = 10.0
COUNTING_SECONDS: Final = 30.0
"""Of a route that counts an audience."""


class Route(Struct, frozen=True, kw_only=True):
    """Holds the facts of one route, for whoever treats routes alike: `@get("/live", opt=Route(public=True).opt)`.

    A handler states all of its facts; none are inherited from its controller.
    """

    public: bool = False
    """It needs no key."""

    asks: bool = False
    """It changes nothing although its method is not GET: a session's token may call it."""

    problems: tuple[type[SegmentCopilotError], ...] = ()
    """How it fails beyond what every route of its kind can answer."""

    stream: Any = None
    """It answers with server-sent events of this union; of `str` where another document describes them."""

    judges_items: bool = False
    """Its use case judges the items of a body one by one: NUL, depth and repeated keys are left to it."""

    seconds: float | None = SECONDS
    """So long a person may wait for its answer to begin; None where a run of the copilot has its own deadline."""

    probe: bool = False
    """It is called every few seconds by a machine: its requests are no news in a log."""

    @property
    def opt(self) -> dict[str, Any]:
        """The `opt` of a Litestar decorator that carries this route."""
        return {_KEY: self}


_SAYS_NOTHING: Final = Route()


def route_of(handler: BaseRouteHandler) -> Route:
    """Return what *handler* declared; handlers that Litestar adds itself (OPTIONS) declare nothing."""
    return handler.opt.get(_KEY, _SAYS_NOTHING)
