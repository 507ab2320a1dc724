"""Answers what browsers ask before a page of another origin may send something, and lets it read the answer.

For most routes the settings say which origins may. A public key says it itself, and a preflight carries no key: so the
routes such a key is for let any page ask, and refuse in their answer what the key does not list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from segment_copilot.api.http.problems import MEDIA_TYPE, ProblemError, problem_body
from segment_copilot.api.http.routes import route_of

_METHOD = "Access-Control-Request-Method"
_HEADERS = "Access-Control-Request-Headers"
_ALWAYS = frozenset({"accept", "accept-language", "content-language", "content-type"})


def judge_preflights(app: ASGIApp, config: CORSConfig) -> ASGIApp:
    """Return *app* behind what answers a preflight that asks for more than *config* allows."""

    async def judge(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and (findings := _refused(scope, config)):
            body = problem_body(
                400,
                code="preflight_refused",
                detail=" ".join(finding.detail for finding in findings),
                instance=scope["raw_path"].decode("latin-1"),
                request_id=scope["state"].get("request_id", ""),
                findings=findings,
            )
            headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        await app(scope, receive, send)

    return judge


_PREFLIGHT_SECONDS: Final = 600


def open_to_pages(app: ASGIApp, routes: Litestar, config: CORSConfig) -> ASGIApp:
    """Return *app* behind what lets pages of every origin ask the routes that say so (`Route.pages`)."""
    opened: frozenset[str] | None = None

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal opened
        origin = _sent(scope, b"origin") if scope["type"] == "http" else None
        if origin is None:
            await app(scope, receive, send)
            return
        if opened is None:
            opened = frozenset(_open_paths(routes))
        if scope["path"].rstrip("/") not in opened:
            await app(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and _sent(scope, _METHOD.lower().encode()):
            await send({"type": "http.response.start", "status": 204, "headers": _preflight(origin, config)})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        exposed = ", ".join(config.expose_headers).encode()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [header for header in message["headers"] if not header[0].lower().startswith(b"access-control-")]
                message["headers"] = [*kept, *_readable(origin), (b"access-control-expose-headers", exposed)]
            await send(message)

        await app(scope, receive, answer)

    return ask


def _open_paths(app: Litestar) -> Iterable[str]:
    for route in app.routes:
        if isinstance(route, HTTPRoute) and any(route_of(one).pages for one, _ in route.route_handler_map.values()):
            yield route.path


def _preflight(origin: bytes, config: CORSConfig) -> list[tuple[bytes, bytes]]:
    return [
        *_readable(origin),
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", ", ".join(config.allow_headers).encode()),
        (b"access-control-max-age", b"%d" % _PREFLIGHT_SECONDS),
    ]


def _readable(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]


def _sent(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


def _refused(scope: HTTPScope, config: CORSConfig) -> list[ProblemError]:
    sent = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    origin, method = sent.get(b"origin"), sent.get(_METHOD.lower().encode())
    if origin is None or method is None:
        return []
    findings: list[ProblemError] = []
    if not config.is_origin_allowed(origin):
        findings.append(_finding("Origin", "This origin is not among those that may call (CORS_ORIGINS)."))
    if method not in config.allow_methods:
        findings.append(_finding(_METHOD, f"A browser may send {', '.join(config.allow_methods)}."))
    allowed = _ALWAYS | {name.lower() for name in config.allow_headers}
    wanted = {name.strip().lower() for name in sent.get(_HEADERS.lower().encode(), "").split(",")} - {""}
    if not wanted <= allowed:
        findings.append(_finding(_HEADERS, f"A browser may send the headers {', '.join(sorted(allowed))}."))
    return findings


def _finding(parameter: str, detail: str) -> ProblemError:
    return ProblemError("", "preflight_refused", detail, parameter=parameter)
