"""Holds what a route declares beside its path: who may call it, how it fails, what it streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import zip_longest
from typing import Any, Final

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import HTTPScope
from msgspec import Struct
from rapidfuzz import fuzz, process

from segment_copilot.errors import SegmentCopilotError

_KEY: Final = "route"

SECONDS: Final = 7.0
COUNTING_SECONDS: Final = 27.0
"""Of a route that counts an audience. What is promised is 10 and 30: giving back a frozen store's connection takes its time."""


class Route(Struct, frozen=True, kw_only=True):
    """Holds the facts of one route, for whoever treats routes alike: `@get("/live", opt=Route(public=True).opt)`.

    A handler states all of its facts; none are inherited from its controller.
    """

    public: bool = False
    """It needs no key."""

    asks: bool = False
    """It changes nothing although its method is not GET: a scope that reads is enough for it."""

    scope: str | None = None
    """What a credential needs for it; None where its path and method say that (`api/http/scopes.py`)."""

    pages: bool = False
    """A page of any origin may ask it, with a public key or a session that one opened: these say which may."""

    problems: tuple[type[SegmentCopilotError], ...] = ()
    """How it fails beyond what every route of its kind can answer."""

    parameters: tuple[Any, ...] = ()
    """What it reads beside the parameters of its handler: each a `Parameter` of `parameters.py`."""

    bodies: Mapping[str, Any] = {}
    """The media types of a body that the handler reads itself, each as OpenAPI describes it."""

    stream: Any = None
    """It answers with server-sent events of this union; of `str` where another document describes them."""

    judges_items: bool = False
    """Its use case judges the items of a body one by one: NUL, depth and repeated keys are left to it."""

    tells_repetitions: bool = False
    """Its use case tells repetitions apart by itself: its answers are not kept under an Idempotency-Key."""

    repeated_for: timedelta = timedelta(hours=24)
    """So long its answer is given again under an Idempotency-Key; after that the request is done anew."""

    seconds: float | None = SECONDS
    """So long a person may wait for its answer to begin; None where a run of the copilot has its own deadline."""

    link: str = ""
    """It needs no key where the query has this parameter, a signed token: its use case judges that."""

    file: tuple[str, ...] = ()
    """It answers with a file of one of these types, or with a part of it."""

    probe: bool = False
    """It is called every few seconds by a machine: its requests are no news in a log."""

    def __deepcopy__(self, _memo: object) -> Route:
        """Litestar copies handlers; what is frozen needs no copy, and types cannot be copied."""
        return self

    @property
    def is_file(self) -> bool:
        """Return whether its answer is a file, whose bytes are never compressed: a range of it is of those."""
        return bool(self.file)

    @property
    def opt(self) -> dict[str, Any]:
        """The `opt` of a Litestar decorator that carries this route."""
        return {_KEY: self}


_SAYS_NOTHING: Final = Route()


def route_of(handler: BaseRouteHandler) -> Route:
    """Return what *handler* declared; handlers that Litestar adds itself (OPTIONS) declare nothing."""
    return handler.opt.get(_KEY, _SAYS_NOTHING)


def is_probe(scope: Mapping[str, Any]) -> bool:
    """Returns whether a request goes to a probe, by whatever method: its path's own OPTIONS declares nothing."""
    if (handler := scope.get("route_handler")) is None:
        return False
    if scope["method"] != "OPTIONS":
        return route_of(handler).probe
    routes = (route for route in scope["litestar_app"].routes if handler in _handlers(route))
    return any(route_of(each).probe for route in routes for each in _handlers(route))


def _handlers(route: BaseRoute) -> list[BaseRouteHandler]:
    return [handler for handler, _ in route.route_handler_map.values()] if isinstance(route, HTTPRoute) else []


MAX_ID: Final = 2**63 - 1  # ids are bigint


def is_id(text: str) -> bool:
    """Returns whether *text* is an id in its one spelling and within 64 bits."""
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID))
    return plain and text[0] != "0" and int(text) <= MAX_ID


def methods_of(scope: HTTPScope) -> frozenset[str]:
    """Returns every method that the path of a request takes; none when no route has it, whatever the method.

    Litestar matches `/api/segments/nope` with `/api/segments/{id}` until it knows the method, and its own answer to
    OPTIONS knows the methods of one handler of several.
    """
    words = [word for word in scope["path"].split("/") if word]
    app: Litestar = scope["litestar_app"]
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    exact = [route for route in routes if [*_words(route)] == words]
    found = exact or [route for route in routes if _fits(route, words)]
    methods = {method for route in found for method in route.route_handler_map}
    return frozenset(methods | ({"HEAD"} if "GET" in methods else set()))


def nearest_path(scope: HTTPScope) -> str | None:
    """Returns the documented path that the path of a request is spelled nearly as; None where none is near.

    A parameter takes the word that stands as far from the end as it, so `/api/segment/5` is near `/api/segments/5/` and
    `/segments/5` too.
    """
    path = scope["path"]
    if len(path) > _LONGEST_PATH:
        return None
    app: Litestar = scope["litestar_app"]
    words = [word for word in path.split("/") if word]
    documented = (route for route in app.routes if isinstance(route, HTTPRoute) and _is_documented(route))
    paths = {_filled([*_words(route)], words) for route in documented}
    near = process.extractOne(_spelled(words), paths, scorer=fuzz.ratio, score_cutoff=_NEAR)
    return near[0] if near and near[0] != _spelled(words) else None  # the same, where an id in it is none


_LONGEST_PATH: Final = 200  # characters: what is longer costs more to compare than it tells
_NEAR: Final = 80.0  # per cent of the letters of both


def _is_documented(route: HTTPRoute) -> bool:
    return any(
        handler.resolve_include_in_schema() for handler in _handlers(route) if isinstance(handler, HTTPRouteHandler)
    )


def _filled(pattern: list[str], words: list[str]) -> str:
    from_the_end = zip_longest(reversed(pattern), reversed(words[-len(pattern) :]), fillvalue="")
    return _spelled([word if part.startswith("{") and word else part for part, word in from_the_end][::-1])


def _spelled(words: Iterable[str]) -> str:
    return "".join(f"/{word}" for word in words) + "/"


def _words(route: HTTPRoute) -> Iterable[str]:
    return (word for word in route.path.split("/") if word)


def _fits(route: HTTPRoute, words: list[str]) -> bool:
    pattern = list(_words(route))
    return len(pattern) == len(words) and all(
        is_id(word) if part.endswith(":int}") else part.startswith("{") or part == word
        for part, word in zip(pattern, words, strict=True)
    )
