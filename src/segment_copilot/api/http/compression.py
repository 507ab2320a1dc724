"""Compresses answers with gzip for callers that take it, by Litestar's middleware: never a stream, nor a file.

BREACH needs a page that makes a browser send the victim's cookie; here nothing is sent unless the caller sends it.
"""

from __future__ import annotations

from typing import Final

from litestar.config.compression import CompressionConfig
from litestar.middleware.compression import CompressionMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from segment_copilot.api.http.routes import route_of

CONFIG: Final = CompressionConfig(backend="gzip", minimum_size=1024, gzip_compress_level=4)


def compressed(app: ASGIApp) -> ASGIApp:
    """Compress an answer that is worth it, where the caller's Accept-Encoding has gzip."""
    compressing = CompressionMiddleware(app, CONFIG)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        route = route_of(scope["route_handler"])
        may = scope["type"] == "http" and route.stream is None and not route.is_file
        await (compressing if may and takes_gzip(_accepted(scope)) else app)(scope, receive, send)

    return choose


def takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding header names gzip, or everything, and not with `q=0`."""
    weights: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return weights.get("gzip", weights.get("*", False))


def _accepted(scope: Scope) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept-encoding")
