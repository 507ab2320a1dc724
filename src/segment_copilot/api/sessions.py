"""Sessions over HTTP: a key is exchanged for a short token that a browser or an app may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from segment_copilot.access.keys import Caller
from segment_copilot.access.scopes import SessionScope
from segment_copilot.access.sessions import LIFETIME, Sessions, Wanted
from segment_copilot.api.http.routes import Route
from segment_copilot.events.identity_links import MAX_ANONYMOUS_LENGTH
from segment_copilot.events.validation import MAX_USER_LENGTH


class SessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the token is for, and for whom."""

    scope: (
        Annotated[
            SessionScope,
            Meta(description="copilot: asks the copilot; track: sends one user's events, as a public key's always do"),
        ]
        | None
    ) = None
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
    anonymous_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=MAX_ANONYMOUS_LENGTH,
                description="Of somebody who has not logged in: its user is `anon_` and this",
            ),
        ]
        | None
    ) = None
    user_id_sig: (
        Annotated[
            str,
            Meta(
                max_length=128,
                description="Of your backend: hex HMAC-SHA256 of `<user_id>|<user_id_ts>` with the key's hmac_secret, decoded from hex",
            ),
        ]
        | None
    ) = None
    user_id_ts: (
        Annotated[
            int,
            Meta(ge=0, le=2**40, description="When it was signed, in Unix seconds; five minutes from now at most"),
        ]
        | None
    ) = None


class OpenedSession(Struct, frozen=True):
    """A token, for `Authorization: Bearer`. *expires_at* has whole seconds; *uid* is the user it speaks for."""

    token: str
    expires_at: datetime
    uid: str | None


class SessionController(Controller):
    """Issues tokens for browsers."""

    path = "/api/auth"
    tags = ("sessions",)

    @post(
        "/session",
        status_code=200,
        opt=Route(scope="sessions:open", pages=True, repeated_for=LIFETIME).opt,
        response_description="The token, for 15 minutes.",
    )
    async def open_session(
        self, data: JSONBody[SessionRequest], sessions: NamedDependency[Sessions], caller: NamedDependency[Caller]
    ) -> OpenedSession:
        """Exchange a key for a token that a browser or an app may hold.

        A public key (`pk_`) needs no `scope`: its token sends the events of one user and reads nothing. A secret key's
        token has `scope` `track`, likewise, or `copilot`: it asks the copilot and reads audiences, and no user. What a
        token may not do answers 403 `missing_scope`, this route included. It ends with its key.
        """
        wanted = Wanted(
            scope=data.scope,
            user_id=data.user_id,
            anonymous_id=data.anonymous_id,
            signature=data.user_id_sig,
            signed_at=data.user_id_ts,
        )
        session, token = await sessions.open_by(caller, wanted, now=datetime.now(UTC))
        return OpenedSession(token, session.expires_at, session.sub)
