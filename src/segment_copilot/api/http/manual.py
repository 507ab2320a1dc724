"""Serves pages for people: what answers here, and what a problem's `type` means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from segment_copilot.api.http.problems import title_of
from segment_copilot.api.http.routes import Route

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }}</style>
<main>
{body}
</main>
</html>
"""
_FRONT: Final = """<h1>segment-copilot</h1>
<p>Describe an audience in words; get back a segment that is valid, counted, explained and ready to review and save.
This is its API: JSON and server-sent events under <code>/api/</code>, with a key.</p>
<ul>
{console}<li><a href="/docs">The documentation</a></li>
<li><a href="/docs/api">The API, to read and to try</a></li>
<li><a href="/schema">The same as an OpenAPI document</a></li>
<li><a href="/problems">Problems: every error code</a></li>
<li><a href="/health/ready">Whether this process can take requests</a></li>
</ul>"""
_CONSOLE: Final = '<li><a href="/console">The console, to look through</a></li>\n'
_POLICY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
}


class _Entry(Struct, frozen=True):
    """What docs/problems.md says of one code: the heading it stands under, and its paragraphs."""

    heading: str
    text: str


@get("/", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def front(request: Request[Any, Any, State]) -> Response[str]:
    """Return what this is, and where to read on."""
    console = _CONSOLE if request.app.state.resources.settings.console else ""
    return _page("segment-copilot", _FRONT.format(console=console))


@get("/problems", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def problems() -> Response[str]:
    """Return the list of all problems."""
    items = (
        f'<li><a href="/problems/{code}"><code>{code}</code></a> {escape(title_of(code))}</li>' for code in entries()
    )
    return _page(
        "Problems", "<h1>Problems</h1>\n<ul>\n" + "\n".join(items) + '\n</ul>\n<p><a href="/">segment-copilot</a></p>'
    )


@get("/problems/{code:str}", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def problem(code: FromPath[str]) -> Response[str]:
    """Return what the problem of this code means."""
    entry = entries().get(code)
    if entry is None:
        raise NotFoundException
    body = (
        f"<h1>{escape(title_of(code))}</h1>\n<p><code>{code}</code>, status {_inline(entry.heading)}</p>\n"
        + "\n".join(f"<p>{_inline(paragraph)}</p>" for paragraph in entry.text.split("\n\n"))
        + '\n<p><a href="/problems">All problems</a></p>'
    )
    return _page(title_of(code), body)


@cache
def entries() -> Mapping[str, _Entry]:
    """Return every code that docs/problems.md has a heading for."""
    text = files("segment_copilot.api.http").joinpath("problems.md").read_text(encoding="utf-8")
    found: dict[str, _Entry] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, *parts = re.split(r"^### ", section, flags=re.MULTILINE)
        for part in parts:
            code, _, said = part.partition("\n")
            found[code.strip()] = _Entry(heading.partition("\n")[0].strip(), said.strip())
    return found


def _inline(text: str) -> str:
    """Return HTML of a paragraph: code stays code; links lead to pages that are not served here, so only their words stay."""
    words = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words, quote=False))


def _page(title: str, body: str) -> Response[str]:
    return Response(_PAGE.format(title=escape(title), body=body), media_type="text/html", headers=_POLICY)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (front, problems, problem)
