"""Sessions over HTTP: a backend exchanges its secret key for a short token that a browser may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from segment_copilot.access.keys import Caller
from segment_copilot.access.sessions import Sessions, SessionScope
from segment_copilot.events.validation import MAX_USER_LENGTH


class SessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the token is for, and for whom."""

    scope: Annotated[SessionScope, Meta(description="copilot: reads and asks, never writes")]
    user_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=MAX_USER_LENGTH,
                description="Whose browser gets it; the log has a digest of it",
            ),
        ]
        | None
    ) = None


class OpenedSession(Struct, frozen=True):
    """A token, for `Authorization: Bearer`. *expires_at* has whole seconds; *uid* repeats the `user_id`."""

    token: str
    expires_at: datetime
    uid: str | None


class SessionController(Controller):
    """Issues tokens for browsers."""

    path = "/api/auth"
    tags = ("sessions",)

    @post("/session", status_code=200, response_description="The token, for 15 minutes.")
    async def open_session(
        self, data: JSONBody[SessionRequest], sessions: NamedDependency[Sessions], caller: NamedDependency[Caller]
    ) -> OpenedSession:
        """Exchange a secret key for a token that a browser may hold.

        The token reads what the key reads and asks the copilot. Whatever writes answers it with 403 `read_only_token`,
        this route included: a browser asks its own backend for the next one. It ends with its key.
        """
        session, token = await sessions.open(
            caller.key_id, scope=data.scope, user_id=data.user_id, now=datetime.now(UTC)
        )
        return OpenedSession(token, session.expires_at, session.sub)
