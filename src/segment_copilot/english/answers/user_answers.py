"""The plan that answers whether one user is a member of a segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from segment_copilot.english.answers.telling import asked, failed
from segment_copilot.english.plan import Context, Result, Turn, latest

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
        checked = latest(results, CHECK)
        if checked is None:
            return asked(CHECK, {"user_id": self.user, "segment": self.segment}, context)
        if checked.failed:
            return failed(checked)
        document = checked.document
        name = document.get("name") or "the segment"
        if not document.get("in_universe", True):
            return Turn((f"There is no user {self.user!r} here: nothing was ever recorded of them.",))
        verdict = f"User {self.user} {'matches' if document['is_member'] else 'does not match'} {name} now."
        computed = document.get("computed_member")
        stale = "" if computed is None or computed == document["is_member"] else _STALE[bool(computed)]
        lines = [_condition(item) for item in document.get("conditions") or ()]
        return Turn((verdict, stale, "\n".join(["Condition by condition:", *lines]) if lines else ""))


_STALE: Final = {
    True: "At the last computation they were a member, so the stored members will change with the next one.",
    False: "At the last computation they were no member, so the stored members will change with the next one.",
}


def _condition(item: Mapping[str, Any]) -> str:
    measured = item.get("measured")
    told = (
        f" (measured: {measured})" if isinstance(measured, int | float | str) and not isinstance(measured, bool) else ""
    )
    return f"- {'holds' if item['matches'] else 'does not hold'}: {item['words']}{told}"
