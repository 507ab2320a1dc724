"""Explanations over HTTP: a client asks why an audience is what it is, and why a user is in it or not."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any

from litestar import Controller, Request, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.definitions import (
    MAX_DEFINITION_BYTES,
    RawDefinition,
    point_into_body,
    relocate_findings,
)
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.explanations import Explanation, Explanations
from segment_copilot.compiler.evidence import Contribution
from segment_copilot.errors import Conflict, NotFound, QueryTimeout
from segment_copilot.events.validation import MAX_USER_LENGTH
from segment_copilot.language.lengths import Instant

UserId = Annotated[
    str, Meta(min_length=1, max_length=MAX_USER_LENGTH, description="Explain this user too, condition by condition")
]


Sensitivity = Annotated[
    bool, Meta(description="Tell of each condition what the whole count would be at values near its own")
]


class ExplainRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A definition to explain; nothing is saved."""

    definition: RawDefinition
    as_of: Instant | None = None
    user_id: UserId | None = None
    sensitivity: Sensitivity = False


class ExplainSegmentRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How to explain a stored segment. Its `last_computed_at` as *as_of* is the instant of its members."""

    as_of: Instant | None = None
    user_id: UserId | None = None
    sensitivity: Sensitivity = False


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
        work = explanations.definition(
            caller.tenant,
            bytes(data.definition),
            as_of=data.as_of,
            user_id=data.user_id,
            sensitivity=data.sensitivity,
        )
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
        work = explanations.segment(
            caller.tenant,
            segment_id,
            as_of=wanted.as_of,
            user_id=wanted.user_id,
            sensitivity=wanted.sensitivity,
        )
        return await _run(request, work)


class UserExplanationController(Controller):
    """Explains one user of the explorer."""

    path = "/api/explorer/users"
    tags = ("explorer",)

    @get(
        "/{user_id:str}/segments/{segment_id:int}/explain",
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
