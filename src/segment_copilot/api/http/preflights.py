"""Refuses, as a problem, what a browser may not send from another origin; Litestar's own refusal is a line of text."""

from __future__ import annotations

from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from segment_copilot.api.http.problems import MEDIA_TYPE, ProblemError, problem_body

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
