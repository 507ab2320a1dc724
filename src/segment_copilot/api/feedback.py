"""Feedback over HTTP keeps what people think of the copilot's answers."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from segment_copilot.access.keys import Caller
from segment_copilot.api.http.routes import Route
from segment_copilot.copilot.feedback import Feedback, Opinion, Rating


class FeedbackRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the person thought of an answer."""

    run_id: Annotated[
        str, Meta(pattern="^run_[0-9a-f]{32}$", description="As `run.started` and `x-copilot-run-id` say")
    ]
    rating: Rating
    reason: Annotated[str, Meta(max_length=2_000, description="In the person's words")] = ""
    message_id: Annotated[
        str, Meta(max_length=128, pattern="^[A-Za-z0-9_.:-]*$", description="Of one text of the run; else of the whole")
    ] = ""


class FeedbackKept(Struct, frozen=True):
    """It is stored."""

    recorded: bool


class FeedbackController(Controller):
    """Keeps what people think of the copilot's answers."""

    path = "/api/copilot/feedback"
    tags = ("copilot",)

    @post("/", status_code=202, opt=Route(asks=True).opt, response_description="Stored.")
    async def give_feedback(
        self, data: JSONBody[FeedbackRequest], feedback: NamedDependency[Feedback], caller: NamedDependency[Caller]
    ) -> FeedbackKept:
        """Say what the person thought of an answer: up or down, and why.

        A second opinion of the same answer replaces the first.
        """
        opinion = Opinion(data.run_id, data.rating, data.reason.strip(), data.message_id)
        await feedback.keep(caller.tenant, opinion, given_by=caller.session_user)
        return FeedbackKept(recorded=True)
