"""USE CASE: read what is told to webhooks without having one: message after message, from where one was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.webhooks.bodies import EVENTS, Body, Event, Piece, message_id, pieces
from segment_copilot.activations.webhooks.queue import make_body
from segment_copilot.audiences.publications import Publication, Publications
from segment_copilot.lists import read_cursor, write_cursor

MAX_WAIT: Final = 5
MAX_MESSAGES: Final = 20

_LOOK: Final = 0.25  # seconds between two looks
_LISTED: Final = "webhook messages"
_ALL: Final = 2**31 - 1  # every place of a publication


class Message(Struct, frozen=True):
    """Holds what a webhook is sent: its id, which every repetition has too, and its body."""

    id: str
    body: Body


class Messages(Struct, frozen=True):
    """Some messages, oldest first, and the cursor of what comes after them."""

    results: tuple[Message, ...]
    next_cursor: str


class _Cursor(Struct, frozen=True, array_like=True):
    sequence: int
    place: int  # of the newest message of that publication that was read; -1: none


class WebhookFeed:
    """Reads the messages of one tenant; nothing is kept of who read what."""

    def __init__(self, publications: Publications) -> None:
        self._publications = publications

    async def read(
        self,
        tenant: Tenant,
        cursor: str | None = None,
        *,
        events: Sequence[Event] = EVENTS,
        limit: int = MAX_MESSAGES,
        wait: float = 0,
    ) -> Messages:
        """Return messages after *cursor* (None: from now on), if need be after a *wait* of so many seconds for the first.

        Raises:
            InvalidInput: The cursor is none of the tenant's.
        """
        if cursor is None:
            place = _Cursor(await self._publications.newest(tenant), _ALL)
        else:
            place = read_cursor([_LISTED, tenant.id], cursor, _Cursor)
        until = asyncio.get_running_loop().time() + wait
        while True:
            found, place = await self._after(tenant, place, events, limit)
            if found or asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(_LOOK)
        return Messages(tuple(found), write_cursor([_LISTED, tenant.id], place))

    async def _after(
        self, tenant: Tenant, place: _Cursor, events: Sequence[Event], limit: int
    ) -> tuple[list[Message], _Cursor]:
        found = list[Message]()
        for publication in await self._publications.after(tenant, place.sequence - 1, limit=limit + 1):
            told = place.place if publication.sequence == place.sequence else -1
            for piece in pieces(publication, events):
                if piece.place <= told:
                    continue
                if len(found) == limit:
                    return found, place
                found.append(await self._message(tenant, publication, piece))
                place = _Cursor(publication.sequence, piece.place)
            place = _Cursor(publication.sequence, _ALL)
        return found, place

    async def _message(self, tenant: Tenant, publication: Publication, piece: Piece) -> Message:
        told = await make_body(self._publications, publication, piece, tenant.slug)
        return Message(message_id(publication.id, piece), told)
