"""USE CASE: say which ids are one person's, and ask who an id is."""

from __future__ import annotations

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.events.identity_links import ANONYMOUS, Alias, IdentityLinks


class IdentifiedUser(Struct, frozen=True):
    """A person: the id they are known by, and the other ids that are theirs."""

    user_id: str
    other_ids: tuple[str, ...]


class Identity:
    """Links the ids of all tenants' users; every method takes the tenant."""

    def __init__(self, links: IdentityLinks) -> None:
        self._links = links

    async def alias(self, tenant: Tenant, anonymous_id: str, user_id: str) -> Alias:
        """Say that whoever is known by an anonymous id is this user; whom it was linked to first, it stays with.

        Raises:
            InvalidInput: The user is anonymous as well, and so identifies nobody.
        """
        if user_id.startswith(ANONYMOUS):
            detail = (
                f"A user id that begins with {ANONYMOUS} is somebody anonymous, and identifies nobody; "
                "to make two of them one, merge them."
            )
            raise InvalidInput(detail, code="anonymous_user", findings=[Finding("/user_id", "anonymous_user", detail)])
        return await self._links.alias(tenant, ANONYMOUS + anonymous_id, user_id)

    async def merge(self, tenant: Tenant, from_user_id: str, into_user_id: str) -> None:
        """Say that one user is another, whatever was said of the first before.

        Raises:
            InvalidInput: They are the same id.
            Conflict: They are one already, the other way round.
        """
        await self._links.merge(tenant, from_user_id, into_user_id)

    async def user(self, tenant: Tenant, user_id: str) -> IdentifiedUser:
        """Return who an id is; one that was never linked is a person of its own, seen or not."""
        person = await self._links.person(tenant, user_id)
        return IdentifiedUser(person.user_id, person.other_ids)
