"""Draws results inside of hosts (MCP Apps): one page that knows every component, and what it is given to draw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import msgspec
from msgspec import structs

from segment_copilot.api.mcp.registry import Asking, Document, Page
from segment_copilot.copilot.stream.components import Component, Draft

MEDIA_TYPE: Final = "text/html;profile=mcp-app"
COMPONENTS_KEY: Final = "segment-copilot/components"
"""Where, in the `_meta` of a result, the props of what is to be drawn are; a model does not read them."""

_VIEWS: Final = {
    "metric-card": ("Metric card", "One number with what it counts."),
    "segment-table": ("Segment table", "Saved segments with their members."),
    "event-volume-chart": ("Event volume chart", "Events or members by day, or event types, as bars."),
    "create-segment": ("Create segment", "The button that saves a draft."),
    "draft": ("Draft", "A drafted segment to review, with the button that saves it."),
    "answer": ("Answer", "An answer of the copilot with all that it draws."),
}
_MODULE: Final = re.compile(r"^import .*\n|^export ", re.MULTILINE)


def uri_of(view: str) -> str:
    """Return the address of a view."""
    return f"ui://segment-copilot/{view}"


def view_of(view: str | None) -> dict[str, Any]:
    """Return what a tool's document says of what draws its result; nothing where nothing does."""
    return {} if view is None else {"_meta": {"ui": {"resourceUri": uri_of(view)}}}


def drawn(components: Sequence[Component], draft: Draft | None) -> list[Document]:
    """Return the props of everything to be drawn, the draft before its button."""
    found: list[Document] = [msgspec.to_builtins(one) for one in components]
    if draft is None:
        return found
    shown = {"component": "Draft", **msgspec.to_builtins(structs.replace(draft, reading=msgspec.UNSET))}
    buttons = [one for one in found if one["component"] == "CreateSegmentCTA"]
    return [*(one for one in found if one not in buttons), shown, *buttons]


def pages() -> tuple[Page, ...]:
    """Return every view as a resource."""
    return tuple(_page(view, title, description) for view, (title, description) in _VIEWS.items())


def _page(view: str, title: str, description: str) -> Page:
    uri = uri_of(view)

    async def read(asking: Asking) -> Sequence[Document]:  # noqa: ARG001 — the same for everybody
        return [{"uri": uri, "mimeType": MEDIA_TYPE, "text": html(), "_meta": {"ui": {"prefersBorder": False}}}]

    document = {"uri": uri, "name": view, "title": title, "description": description, "mimeType": MEDIA_TYPE}
    return Page(document, read)


@cache
def html() -> str:
    """Return the page in one piece, as hosts want it: nothing is loaded, from nowhere. It draws as the console does."""
    api = files("segment_copilot.api")
    console, own = api.joinpath("console"), api.joinpath("mcp", "app")
    script = "\n".join(_script(place) for place in (console / "dom.js", console / "draw.js", own / "view.js"))
    style = "\n".join(place.read_text("utf-8") for place in (console / "console.css", own / "view.css"))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>segment-copilot</title>\n'
        f'<style>\n{style}</style>\n<main aria-live="polite"></main>\n<script type="module">\n{script}</script>\n</html>\n'
    )


def _script(place: Traversable) -> str:
    return _MODULE.sub("", place.read_text("utf-8"))
