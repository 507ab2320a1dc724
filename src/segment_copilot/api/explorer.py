"""The explorer over HTTP: a client finds users, reads what is known of them and what they did, and has them erased."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from litestar import Controller, Request, Response, delete, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.pages import LISTING, CursorPage, listing_of
from segment_copilot.api.http.parameters import Parameter
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.look_ups import SegmentOfUser
from segment_copilot.audiences.members import Members
from segment_copilot.errors import Finding, InvalidInput, QueryTimeout
from segment_copilot.events.validation import MAX_TYPE_LENGTH, MAX_USER_LENGTH, parse_instant, to_utc
from segment_copilot.language.lengths import EARLIEST, LATEST, day_start
from segment_copilot.people.erasures import Erasures, ErasureStatus
from segment_copilot.people.profiles import FoundUser, Profile, Profiles, UserEvent, WhichEvents


class UserList(CursorPage[FoundUser], frozen=True):
    """A page of users."""


class UserEventList(CursorPage[UserEvent], frozen=True):
    """A page of what a user did."""


_MOMENT: Final = Annotated[
    str,
    Meta(
        extra_json_schema={"anyOf": [{"format": "date"}, {"format": "date-time"}], "pattern": "^(19|2[0-2])[0-9]{2}-"}
    ),
]
_SINCE: Final = Parameter(
    "since",
    "query",
    _MOMENT,
    "Only those of this instant or later; a date is its midnight in the tenant's time zone",
    is_required=False,
)
_UNTIL: Final = Parameter(
    "until",
    "query",
    _MOMENT,
    "Only those before this instant; of a date, its whole day is still among them",
    is_required=False,
)


class ErasureRequested(Struct, frozen=True):
    """The erasure is decided, and carried out until it is done. *user_id_hash* stands for the person from now on."""

    erasure_id: int
    status: ErasureStatus
    user_id_hash: str
    requested_at: datetime


class ExplorerController(Controller):
    """Shows who is known and what they did, and forgets who is to be."""

    path = "/api/explorer"
    tags = ("explorer",)

    @get(
        "/users",
        opt=Route(parameters=LISTING, problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="A page of them.",
    )
    async def search_users(
        self,
        request: Request[Any, Any, State],
        profiles: NamedDependency[Profiles],
        tenant: NamedDependency[Tenant],
        q: Annotated[
            str, QueryParameter(max_length=MAX_USER_LENGTH, description="Only users with this in their id, in any case")
        ] = "",
    ) -> Response[UserList]:
        """Search users.

        Whose id is *q* comes first, then whose id begins with it, then all who have it in their id; by id within these.
        Events that were accepted a moment ago and are not forwarded yet are not counted here.
        """
        listing = listing_of(request)
        return listing.answer(await run_while_connected(request, profiles.search(tenant, q, listing.window)))

    @get(
        "/users/{user_id:str}",
        opt=Route(parameters=UNLESS_KNOWN, problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="The profile.",
    )
    async def get_user(
        self,
        request: Request[Any, Any, State],
        user_id: FromPath[str],
        profiles: NamedDependency[Profiles],
        tenant: NamedDependency[Tenant],
    ) -> Response[Profile]:
        """Read what is known of a user.

        `properties` are the traits as they are now. Identifies count as events here, and what was accepted a moment ago
        counts already. A user nobody has seen is 404 (`user_not_found`).
        """
        return unless_known(await run_while_connected(request, profiles.profile(tenant, user_id)))

    @delete("/users/{user_id:str}", status_code=202, response_description="It is being carried out.")
    async def erase_user(
        self, user_id: FromPath[str], erasures: NamedDependency[Erasures], tenant: NamedDependency[Tenant]
    ) -> ErasureRequested:
        """Erase a user: everything under all ids that are theirs, in both stores.

        Events, traits, members, links and what waits to be stored; `GET /api/erasures/<id>/` tells when it is done. An
        id that nobody has seen gets a receipt of nothing. While an erasure of the same person is open, that is the
        answer. Events that come later begin a new person.
        """
        erasure = await erasures.request(tenant, user_id)
        return ErasureRequested(erasure.id, erasure.status, erasure.user_id_hash, erasure.requested_at)

    @get(
        "/users/{user_id:str}/events",
        opt=Route(parameters=(*LISTING, _SINCE, _UNTIL), problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="A page of them.",
    )
    async def list_user_events(
        self,
        request: Request[Any, Any, State],
        user_id: FromPath[str],
        profiles: NamedDependency[Profiles],
        tenant: NamedDependency[Tenant],
        event_type: Annotated[
            str | None, QueryParameter(min_length=1, max_length=MAX_TYPE_LENGTH, description="Only those of this type")
        ] = None,
    ) -> Response[UserEventList]:
        """List what a user did.

        The newest first, identifies among them, with what was accepted a moment ago. Payloads come as they were sent, but
        for what the store does not keep: the order of keys, nulls and empty objects. A user nobody has seen did nothing.
        """
        which = WhichEvents(event_type, _moment(request, "since", tenant), _moment(request, "until", tenant))
        listing = listing_of(request)
        return listing.answer(
            await run_while_connected(request, profiles.events(tenant, user_id, which, listing.window))
        )

    @get(
        "/users/{user_id:str}/segments",
        opt=Route(problems=(QueryTimeout,)).opt,
        response_description="One entry for each segment.",
    )
    async def list_user_segments(
        self, user_id: FromPath[str], members: NamedDependency[Members], tenant: NamedDependency[Tenant]
    ) -> list[SegmentOfUser]:
        """List the segments that a user is in.

        As the last computation of each left its members. A user nobody has seen is in none.
        """
        return list(await members.segments_of_user(tenant, user_id))


def _moment(request: Request[Any, Any, State], name: str, tenant: Tenant) -> datetime | None:
    """Read a date or an instant of the query; a date is its midnight, or as *until* the one after it.

    Raises:
        InvalidInput: It is neither.

    """
    if (text := request.query_params.get(name)) is None:
        return None
    is_date, moment = len(text) == len("2026-04-25"), parse_instant(text)
    if moment is not None and is_date:
        midnight = day_start(moment.date() + timedelta(days=name == "until"), ZoneInfo(tenant.timezone))
        moment = min(max(midnight, EARLIEST), LATEST)
    if moment is None or moment.tzinfo is None or (moment := to_utc(moment)) is None:
        detail = f"{name} is a date such as 2026-04-25, or an instant such as 2026-04-25T14:32:00Z, from 1900 to 2299."
        raise InvalidInput(
            detail, code="invalid_parameter", findings=[Finding(f"/{name}", "invalid_parameter", detail)]
        )
    return moment
