"""The plan that answers whether one user is a member of a segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from segment_copilot.copilot.models.offline.plan import Context, Result, Turn, latest
from segment_copilot.copilot.models.offline.telling import asked, failed

CHECK = "check_user_membership"
ONE_SEGMENT = (
    "I can check one user against one segment: name the segment, for example 'Is user u_123 in the segment …?'."
)
NO_PROFILE = (
    "I cannot show the profile or the events of a single user here: I count audiences, and can check whether a user is in a segment.",
    "Name the segment, for example 'Is user u_123 in the segment …?'.",
)


class Membership(Struct, frozen=True):
    """Whether a user is a member, and which conditions hold."""

    user: str
    segment: int

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        if CHECK not in context.tools:
            return Turn(("I cannot look at a single user here.",))
        checked = latest(results, CHECK)
        if checked is None:
            return asked(CHECK, {"user_id": self.user, "segment": self.segment}, context)
        if checked.failed:
            return failed(checked)
        return Turn(told(self.user, checked.document))


def told(user: str, document: Mapping[str, Any]) -> tuple[str, ...]:
    """The verdict, and each condition with whether it holds."""
    name = document.get("name") or "the segment"
    verdict = "matches" if document.get("matches") else "does not match"
    return (f"User {user} {verdict} {name}.",)
