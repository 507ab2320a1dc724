"""Holds what hosts may list and call, as plain data: tools, resources, prompts, each as it goes over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from segment_copilot.access.keys import Caller
from segment_copilot.api.http.audited import Deeds
from segment_copilot.api.http.routes import COUNTING_SECONDS
from segment_copilot.copilot.runs.run import Copilot

Document = Mapping[str, Any]
"""JSON as the protocol has it."""


async def _say_nothing(progress: float, message: str) -> None: ...


class Asking(Struct, frozen=True):
    """Holds who asks whom, and what their host can do. *answers* and *state* come with a call that is made again for them."""

    caller: Caller
    copilot: Copilot
    draining: asyncio.Event
    deeds: Deeds
    capabilities: Document = {}
    can_answer: bool = False  # whether a result may ask for input, and the call be made again with it
    answers: Document = {}
    state: str | None = None
    report: Callable[[float, str], Awaitable[None]] = _say_nothing

    def elicits(self) -> bool:
        """Return whether the person can be asked by a form."""
        offered = self.capabilities.get("elicitation")
        return self.can_answer and offered is not None and (not offered or "form" in offered)


class Offer(Struct, frozen=True):
    """Is a tool as hosts list it, and what a call of it does, in at most so many *seconds*. A caller needs its *scope*.

    *made* is the address of what it writes, by the result's `id`; None where it writes nothing.
    """

    document: Document
    call: Callable[[Asking, Document], Awaitable[Document]]
    scope: str | None = None
    seconds: float | None = COUNTING_SECONDS
    made: str | None = None

    @property
    def name(self) -> str:
        """Return what it is called by."""
        return self.document["name"]


class Page(Struct, frozen=True):
    """Is a resource as hosts list it, and what reads it."""

    document: Document
    read: Callable[[Asking], Awaitable[Sequence[Document]]]


class Prompt(Struct, frozen=True):
    """Is a prompt as hosts list it, and what writes it; *complete* offers values of an argument."""

    document: Document
    write: Callable[[Asking, Document], Awaitable[Document]]
    complete: Callable[[Asking, str, str], Awaitable[Sequence[str]]] | None = None


class Template(Struct, frozen=True):
    """Is a kind of resource as hosts list it, and what reads one; None where it is none of this kind."""

    document: Document
    read: Callable[[Asking, str], Awaitable[Sequence[Document] | None]]


class Registry(Struct, frozen=True, kw_only=True):
    """Holds everything that one server offers, in the order in which it is listed."""

    name: str
    title: str
    instructions: str
    offers: tuple[Offer, ...] = ()
    pages: tuple[Page, ...] = ()
    templates: tuple[Template, ...] = ()
    prompts: tuple[Prompt, ...] = ()


def answered(document: Document, *, text: str | None = None, meta: Document | None = None) -> Document:
    """Return a tool's result: *document* for programs, and for a model as text, after *text* where there is some."""
    said = [] if text is None else [{"type": "text", "text": text}]
    written = {"type": "text", "text": msgspec.json.encode(document).decode()}
    result: dict[str, Any] = {"content": [*said, written], "structuredContent": document}
    return {**result, "_meta": meta} if meta else result
