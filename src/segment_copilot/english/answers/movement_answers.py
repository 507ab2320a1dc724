"""The plan that answers who joined a segment and who left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from segment_copilot.english.answers.telling import asked, counted, failed, moment, range_sentence, rfc3339, span
from segment_copilot.english.plan import Context, Result, Turn, latest
from segment_copilot.english.times.windows import Window

CHANGES: Final = "query_segment_changes"
_MOST: Final = 50
_DAYS: Final = 7


class Movement(Struct, frozen=True):
    """Who joined a segment and who left it; without a window, in the last 7 days."""

    segment: int
    window: Window | None
    joined: bool
    left: bool
    limit: int | None = None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        changes = latest(results, CHANGES)
        if changes is None:
            return asked(CHANGES, self._arguments(context), context)
        if changes.failed:
            return failed(changes)
        document = changes.document
        said = self.window.words().removeprefix("in ") if self.window else f"the last {_DAYS} days"
        took = "" if self.window else f"I took the last {_DAYS} days."
        runs = range_sentence(self.window, context) if self.window else ""
        if not document["computations"]:
            return Turn((_untouched(document, said, context), runs, took))
        sentences = [self._counted(document, said), _first(document, context)]
        if self.joined:
            sentences.append(_listed("Joined", document["entered_users"], document["entered"], context))
        if self.left:
            sentences.append(_listed("Left", document["left_users"], document["left"], context))
        return Turn((*sentences, runs, took))

    def _arguments(self, context: Context) -> dict[str, Any]:
        if self.window is None:
            when: Mapping[str, Any] = {"from": rfc3339(context.as_of - timedelta(days=_DAYS))}
        else:
            when = span(self.window, context)
            when = {"from": when["from"]} if self.window.ends_now else when
        return {"segment": self.segment, **when} | ({"limit": min(self.limit, _MOST)} if self.limit else {})

    def _counted(self, document: Mapping[str, Any], said: str) -> str:
        joined = f"{counted(document['entered'], 'user')} joined"
        left = f"{counted(document['left'], 'user')} left"
        name = document["name"]
        if self.joined and self.left:
            told = f"{joined} {name} and {left} it"
        else:
            told = f"{joined if self.joined else left} {name}"
        members = f"; it has {counted(document['member_count'], 'member')} now" if document["member_count"] is not None else ""  # fmt: skip
        return f"{told} ({said}){members}."


def _untouched(document: Mapping[str, Any], said: str, context: Context) -> str:
    """Nothing is known to have moved: members change when they are computed."""
    if not document.get("last_computed_at"):
        return f"{document['name']} has not been computed yet, so nobody has joined or left it."
    when = moment(document["last_computed_at"], context)
    return f"{document['name']} was not computed in this time ({said}), so nobody is known to have joined or left; its members are as of {when}."


def _first(document: Mapping[str, Any], context: Context) -> str:
    if not document.get("first_computed_at"):
        return ""
    when = moment(document["first_computed_at"], context)
    return f"It was computed for the first time on {when}: everybody who was in it then counts as joined."


def _listed(verb: str, users: Sequence[Mapping[str, Any]], of: int, context: Context) -> str:
    if not users:
        return ""
    some = ", the first of them" if len(users) < of else ""
    return "\n".join([f"{verb}{some}:", *(f"- {one['user_id']}, {moment(one['at'], context)}" for one in users)])
