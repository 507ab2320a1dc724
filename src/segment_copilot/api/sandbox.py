"""The sandbox over HTTP: a client tries an event, and learns which segments it would move its user into or out of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct, to_builtins

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.requests import run_while_connected
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.live import Unevaluated
from segment_copilot.audiences.sandbox import ChangedSegment, Sandbox
from segment_copilot.errors import QueryTimeout
from segment_copilot.events.validation import MAX_TYPE_LENGTH, MAX_USER_LENGTH


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
    """The segments that the user would enter and leave; *not_evaluated* ones have a definition that no longer compiles."""

    published: bool
    user_id: str
    as_of: datetime
    entered: tuple[ChangedSegment, ...]
    exited: tuple[ChangedSegment, ...]
    unchanged_count: int
    not_evaluated: tuple[Unevaluated, ...]


class SandboxController(Controller):
    """Tries events and stores nothing."""

    path = "/api/explorer/sandbox"
    tags = ("explorer",)

    @post(
        "/publish",
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
            not_evaluated=told.not_evaluated,
        )
