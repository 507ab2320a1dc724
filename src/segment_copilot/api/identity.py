"""Identity over HTTP: which ids are one person's."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.routes import Route
from segment_copilot.errors import Conflict
from segment_copilot.events.identity_links import MAX_ANONYMOUS_LENGTH
from segment_copilot.events.validation import MAX_USER_LENGTH
from segment_copilot.people.identity import IdentifiedUser, Identity

AnonymousId = Annotated[
    str,
    Meta(min_length=1, max_length=MAX_ANONYMOUS_LENGTH, description="As the events have it", examples=["7b1f-93"]),
]


class AliasRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An anonymous id, and the user who turned out to be behind it."""

    anonymous_id: AnonymousId
    user_id: Annotated[
        str,
        Meta(
            min_length=1, max_length=MAX_USER_LENGTH, description="Not an anonymous one", examples=["ada@example.com"]
        ),
    ]


class Aliased(Struct, frozen=True):
    """*status* is linked; or kept where the anonymous id was linked to somebody else first, then *user_id* says to whom."""

    status: Literal["linked", "kept"]
    user_id: str
    anonymous_id: str


class MergeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Two ids of one person: the one that is given up, and the one that stays."""

    from_user_id: Annotated[str, Meta(min_length=1, max_length=MAX_USER_LENGTH, examples=["ada@old.example.com"])]
    into_user_id: Annotated[str, Meta(min_length=1, max_length=MAX_USER_LENGTH, examples=["ada@example.com"])]


class Merged(Struct, frozen=True):
    """Whatever either id did is the second's, in all that is read from now on."""

    status: Literal["merged"]
    from_user_id: str
    into_user_id: str


class IdentityController(Controller):
    """Says which ids are one person's."""

    path = "/api/identity"
    tags = ("identity",)

    @post("/alias", status_code=200, response_description="Whose the anonymous id is.")
    async def link_anonymous_id(
        self, data: JSONBody[AliasRequest], identity: NamedDependency[Identity], tenant: NamedDependency[Tenant]
    ) -> Aliased:
        """Link an anonymous id to a user.

        What `anon_<anonymous_id>` did is then this user's, before and after. The first link stays: a later one to
        somebody else changes nothing and answers `kept`. An event that carries both ids links them alike.
        """
        alias = await identity.alias(tenant, data.anonymous_id, data.user_id)
        return Aliased(alias.status, alias.user_id, data.anonymous_id)

    @post(
        "/merge",
        status_code=200,
        opt=Route(problems=(Conflict,)).opt,
        response_description="They are one from now on.",
    )
    async def merge_users(
        self, data: JSONBody[MergeRequest], identity: NamedDependency[Identity], tenant: NamedDependency[Tenant]
    ) -> Merged:
        """Make one user of two.

        This overrides whatever was said of the first before. Whoever was linked to the first goes along. Merging a
        user into one who was merged into it before is 409 `identity_cycle`.
        """
        await identity.merge(tenant, data.from_user_id, data.into_user_id)
        return Merged("merged", data.from_user_id, data.into_user_id)

    @get("/users/{user_id:str}", response_description="The person.")
    async def get_identity(
        self, user_id: FromPath[str], identity: NamedDependency[Identity], tenant: NamedDependency[Tenant]
    ) -> IdentifiedUser:
        """Tell who an id is: the id the person is known by, and their other ids.

        An id that was never linked is a person of its own, whether anybody has seen it or not.
        """
        return await identity.user(tenant, user_id)
