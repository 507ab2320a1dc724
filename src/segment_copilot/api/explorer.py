"""The explorer and explanations over HTTP: who is known, what they did, why an audience is what it is."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from litestar import Controller, Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, to_builtins
from msgspec.structs import replace

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.definitions import (
    MAX_DEFINITION_BYTES,
    RawDefinition,
    point_into_body,
    relocate_findings,
)
from segment_copilot.api.http.etags import IfNoneMatch, unless_known
from segment_copilot.api.http.pages import LISTING, CursorPage, listing_of
from segment_copilot.api.http.parameters import Parameter
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.explanations import Explanation, Explanations
from segment_copilot.audiences.members import Members, SegmentOfUser
from segment_copilot.audiences.sandbox import ChangedSegment, Sandbox, UndecidedSegment
from segment_copilot.compiler.evidence import Contribution
from segment_copilot.errors import Conflict, Finding, InvalidInput, NotFound, QueryTimeout
from segment_copilot.events.validation import MAX_TYPE_LENGTH, MAX_USER_LENGTH, parse_instant, to_utc
from segment_copilot.language.lengths import EARLIEST, LATEST, Instant, to_instant
from segment_copilot.people.erasures import Erasures, ErasureStatus
from segment_copilot.people.profiles import FoundUser, Profile, Profiles, UserEvent, WhichEvents

UserId = Annotated[
    str, Meta(min_length=1, max_length=MAX_USER_LENGTH, description="Explain this user too, condition by condition")
]


class ExplainRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A definition to explain; nothing is saved."""

    definition: RawDefinition
    as_of: Instant | None = None
    user_id: UserId | None = None


class ExplainSegmentRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How to explain a stored segment. Its `last_computed_at` as *as_of* is the instant of its members."""

    as_of: Instant | None = None
    user_id: UserId | None = None


class ExplainedCondition(Struct, frozen=True):
    """One condition and one user, as SegOps tells it: *label* is the condition in words.

    *actual_value* is what was measured, null where there is nothing; *threshold* is what it is compared with, null where
    it is compared with nothing. *events* are the newest ones that counted.
    """

    index: int
    type: str
    label: str
    actual_value: Any
    threshold: Any
    matches: bool
    pointer: str
    events: tuple[Contribution, ...]


class ExplanationController(Controller):
    """Explains why an audience is what it is."""

    path = "/api/segments"
    tags = ("segments",)
    request_max_body_size = MAX_DEFINITION_BYTES

    @post(
        "/explain",
        status_code=200,
        opt=Route(asks=True, problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="The explanation.",
    )
    async def explain_definition(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[ExplainRequest],
        explanations: NamedDependency[Explanations],
        caller: NamedDependency[Caller],
    ) -> Explanation:
        """Explain who would be in a segment.

        Nothing is saved. Each stage says what its condition matches by itself, how many users there are after it, and
        how many there would be without it; `emptied_by` is there when nobody is left. With `user_id`, `user` says of
        each condition what was measured and whether it holds; a user nobody has seen has `in_universe` false.
        """
        _check_sees(caller, data.user_id)
        work = explanations.definition(caller.tenant, bytes(data.definition), as_of=data.as_of, user_id=data.user_id)
        return await _run(request, work)

    @post(
        "/{segment_id:int}/explain",
        status_code=200,
        opt=Route(asks=True, problems=(Conflict, QueryTimeout), seconds=COUNTING_SECONDS).opt,
        response_description="The explanation.",
    )
    async def explain_segment(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        explanations: NamedDependency[Explanations],
        caller: NamedDependency[Caller],
        data: JSONBody[ExplainSegmentRequest | None] = None,
    ) -> Explanation:
        """Explain who is in a stored segment.

        As of now, or of an instant such as its `last_computed_at`; its members stay as the last computation left them.
        """
        wanted = data or ExplainSegmentRequest()
        _check_sees(caller, wanted.user_id)
        work = explanations.segment(caller.tenant, segment_id, as_of=wanted.as_of, user_id=wanted.user_id)
        return await _run(request, work)


class SandboxEvent(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event to try: it is judged as ingestion would, and not stored."""

    user_id: Annotated[str, Meta(min_length=1, max_length=MAX_USER_LENGTH, examples=["ana@shop.example"])]
    event_type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_LENGTH, examples=["order_placed"])]
    occurred_at: (
        Annotated[
            str,
            Meta(
                description="ISO 8601; UTC without an offset; default: now",
                examples=["2026-04-25T14:32:00Z"],
                extra_json_schema={"format": "date-time", "pattern": "^(19|2[0-2])[0-9]{2}-"},
            ),
        ]
        | None
    ) = None
    payload: Annotated[dict[str, Any], Meta(examples=[{"total": 89.95, "currency": "EUR"}])] | None = None


class SandboxAnswer(Struct, frozen=True):
    """The segments that the user would enter and leave; *undecided* ones have a definition that no longer compiles."""

    published: bool
    user_id: str
    as_of: datetime
    entered: tuple[ChangedSegment, ...]
    exited: tuple[ChangedSegment, ...]
    unchanged_count: int
    undecided: tuple[UndecidedSegment, ...]


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
    """Shows who is known and what they did, and what an event would change; it stores nothing, and forgets who is to be."""

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
        opt=Route(problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="The profile.",
    )
    async def get_user(
        self,
        request: Request[Any, Any, State],
        user_id: FromPath[str],
        profiles: NamedDependency[Profiles],
        tenant: NamedDependency[Tenant],
        if_none_match: IfNoneMatch = None,
    ) -> Response[Profile]:
        """Read what is known of a user.

        `properties` are the traits as they are now. Identifies count as events here, and what was accepted a moment ago
        counts already. A user nobody has seen is 404 (`user_not_found`).
        """
        return unless_known(await run_while_connected(request, profiles.profile(tenant, user_id)), if_none_match)

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

    @post(
        "/sandbox/publish",
        status_code=200,
        opt=Route(asks=True, problems=(QueryTimeout,), seconds=COUNTING_SECONDS).opt,
        response_description="What would change.",
    )
    async def try_event(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[SandboxEvent],
        sandbox: NamedDependency[Sandbox],
        tenant: NamedDependency[Tenant],
    ) -> SandboxAnswer:
        """Try what an event would change.

        All active segments are evaluated now, over everything that is known of the user without the event and with it;
        nothing is stored. A user nobody has seen has an empty history. An event of the future changes nothing yet.
        """
        told = await run_while_connected(request, sandbox.publish(tenant, to_builtins(data)))
        return SandboxAnswer(
            published=True,
            user_id=data.user_id,
            as_of=told.as_of,
            entered=told.entered,
            exited=told.exited,
            unchanged_count=told.unchanged_count,
            undecided=told.undecided,
        )

    @get(
        "/users/{user_id:str}/segments/{segment_id:int}/explain",
        opt=Route(problems=(Conflict, QueryTimeout), seconds=COUNTING_SECONDS).opt,
        response_description="One entry for each condition.",
    )
    async def explain_user(
        self,
        request: Request[Any, Any, State],
        user_id: FromPath[str],
        segment_id: FromPath[int],
        explanations: NamedDependency[Explanations],
        tenant: NamedDependency[Tenant],
    ) -> list[ExplainedCondition]:
        """Explain why a user is in a stored segment or not, as of now.

        Members and non-members alike; a user nobody has seen is 404.
        """
        with relocate_findings():
            found = await run_while_connected(request, explanations.user_of_segment(tenant, segment_id, user_id))
        if not found.in_universe:
            raise NotFound("Nobody has seen a user of this id.", code="user_not_found")
        return [
            ExplainedCondition(
                index=index,
                type=each.type,
                label=each.words,
                actual_value=each.measured,
                threshold=each.threshold,
                matches=each.matches,
                pointer=each.pointer,
                events=each.events,
            )
            for index, each in enumerate(point_into_body(found.conditions))
        ]


def _check_sees(caller: Caller, user_id: str | None) -> None:
    """Refuse to explain a user to a caller that may count users and not look at one."""
    if user_id is not None:
        caller.require("users:read")


def _moment(request: Request[Any, Any, State], name: str, tenant: Tenant) -> datetime | None:
    """Read a date or an instant of the query; a date is its midnight, or as *until* the one after it.

    Raises:
        InvalidInput: It is neither.

    """
    if (text := request.query_params.get(name)) is None:
        return None
    is_date, moment = len(text) == len("2026-04-25"), parse_instant(text)
    if moment is not None and is_date:
        midnight = to_instant(moment + timedelta(days=name == "until"), ZoneInfo(tenant.timezone))
        moment = min(max(midnight, EARLIEST), LATEST)
    if moment is None or moment.tzinfo is None or (moment := to_utc(moment)) is None:
        detail = f"{name} is a date such as 2026-04-25, or an instant such as 2026-04-25T14:32:00Z, from 1900 to 2299."
        raise InvalidInput(
            detail, code="invalid_parameter", findings=[Finding(f"/{name}", "invalid_parameter", detail)]
        )
    return moment


async def _run(request: Request[Any, Any, State], work: Coroutine[Any, Any, Explanation]) -> Explanation:
    with relocate_findings():
        found = await run_while_connected(request, work)
    user, emptied_by = found.user, found.emptied_by
    if user is not UNSET:
        user = replace(user, conditions=point_into_body(user.conditions))
    if emptied_by is not UNSET:
        emptied_by = replace(emptied_by, pointers=tuple(f"/definition{pointer}" for pointer in emptied_by.pointers))
    return replace(
        found,
        stages=point_into_body(found.stages),
        conditions=point_into_body(found.conditions),
        warnings=point_into_body(found.warnings),
        emptied_by=emptied_by,
        user=user,
    )
