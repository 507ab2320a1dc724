"""USE CASE: sign addresses that speak for themselves: whoever has such a link needs no key, for one thing and until an instant.

A link carries a JWT, signed with a secret that all processes share; nothing is stored for it. It names its tenant and what
it is for, so that it opens nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from segment_copilot.access.signing import LAST_SECOND, Secrets, Tokens
from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Forbidden, Gone
from segment_copilot.stores.confinement import confine


class _Link(Struct, frozen=True):
    """Holds a token's claims: *sub* is what it opens, *exp* is in seconds since 1970."""

    sub: str
    tenant: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    exp: Annotated[int, Meta(ge=0, le=LAST_SECOND)]


class SignedLinks:
    """Signs links and reads them. A link speaks for the tenant that it was signed for."""

    def __init__(self, secrets: Secrets) -> None:
        self._tokens = Tokens(secrets, "links", _Link)

    async def sign(self, tenant: Tenant, subject: str, *, until: datetime) -> str:
        """Return the token of a link that opens *subject* until then, to the second."""
        return await self._tokens.sign(_Link(subject, tenant.id, int(until.timestamp())))

    async def read(self, token: str, subject: str, *, now: datetime) -> int:
        """Return the id of the tenant for which *token* opens *subject*, whose rows alone this task sees from now on.

        Raises:
            Forbidden: It was not signed here, or for something else; the same whether that exists or not.
            Gone: Its time is over.

        """
        link = await self._tokens.read(token)
        if link is None or link.sub != subject:
            detail = "This link was not made for this address. Ask for the address again with an API key."
            raise Forbidden(detail, code="invalid_link")
        if datetime.fromtimestamp(link.exp, UTC) <= now:
            raise Gone("This link's time is over.", code="link_expired")
        confine(link.tenant)
        return link.tenant
