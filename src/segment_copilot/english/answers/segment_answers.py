"""The plans that answer questions about one or two segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from segment_copilot.english.answers.telling import asked, called, counted, day, draws, failed, moment
from segment_copilot.english.plan import Context, Result, Turn, latest
from segment_copilot.english.times import dates
from segment_copilot.english.times.windows import Window

_MOST_DAYS = 366
_LISTED: Final = 20  # members, where no number was named
DETAIL, TREND, PREVIEW = "get_segment_detail", "query_segment_membership_trend", "preview_segment"
COMPARE, EXPLAIN = "compare_segments", "explain_segment"
CARD, CHART = "display_metric_card", "display_event_chart"
ONE_TREND = "I can look at the membership of one segment at a time: name it, for example 'Is … growing?'."
ONE_MORE = "I compare two segments: name the other one too, for example 'compare … with …'."
NO_AUTHOR = "I cannot see who made a segment or when: ask for its conditions, its size, or when it was last computed."
WHICH_SEGMENT = "I cannot tell which segment is meant: name it, for example 'What defines …?'."


class Size(Struct, frozen=True):
    """How many members a segment has."""

    segment: int | str

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        detail = latest(results, DETAIL)
        if detail is None:
            return asked(DETAIL, {"segment": self.segment}, context)
        if detail.failed:
            return failed(detail)
        document = detail.document
        if document.get("member_count") is None:
            return self._now(results, context, document)
        when = document.get("last_computed_at")
        note = f"computed {moment(when, context)}" if when else ""
        if draws(CARD, results, context):
            card = {"title": f"{document['name']} members"[:120], "value": document["member_count"], "unit": "users"}
            return called(CARD, card | ({"note": note} if note else {}))
        when = f", {note}" if note else ""
        return Turn((f"{document['name']} has {counted(document['member_count'], 'member')}{when}.",))

    def _now(self, results: Sequence[Result], context: Context, document: Mapping[str, Any]) -> Turn:
        """A segment that was never computed: what its definition matches now."""
        if document["definition"] is None:
            return Turn((document["words"],))
        preview = latest(results, PREVIEW)
        if preview is None and context.tools_allowed:
            return called(PREVIEW, {"definition": document["definition"]})
        if preview is None or preview.failed:
            return Turn((f"{document['name']} has not been computed yet, so it has no members to count.",))
        matched = preview.document["matched_users"]
        if draws(CARD, results, context):
            title = f"{document['name']}: users who match now"[:120]
            return called(CARD, {"title": title, "value": matched, "unit": "users"})
        return Turn(
            (f"{document['name']} has not been computed yet; its definition matches {counted(matched, 'user')} now.",)
        )


class Computed(Struct, frozen=True):
    """When a segment was computed last."""

    segment: int

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        detail = latest(results, DETAIL)
        if detail is None:
            return asked(DETAIL, {"segment": self.segment}, context)
        if detail.failed:
            return failed(detail)
        document = detail.document
        if not document.get("last_computed_at"):
            return Turn((f"{document['name']} has not been computed yet.",))
        count = document.get("member_count")
        members = f", and had {counted(count, 'member')} then" if count is not None else ""
        status = str(document.get("status") or "").replace("_", " ")
        return Turn(
            (
                f"{document['name']} was last computed on {moment(document['last_computed_at'], context)} ({context.timezone}){members}.",
                f"Its status is {status}." if status and status != "computed" else "",
            )
        )


class Comparison(Struct, frozen=True):
    """How large two segments are, and how many users are in both."""

    one: int
    other: int

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        compared = latest(results, COMPARE)
        if compared is None:
            return asked(COMPARE, {"first": self.one, "second": self.other}, context)
        if compared.failed:
            return failed(compared)
        document = compared.document
        one, other = document["first"], document["second"]
        names = one.get("name") or "the first", other.get("name") or "the second"
        return Turn(
            (
                f"{names[0]} matches {counted(one['matched_users'], 'user')} now, {names[1]} {counted(other['matched_users'], 'user')}.",
                f"In both: {document['both']:,}; only in {names[0]}: {document['only_first']:,}; only in {names[1]}: {document['only_second']:,}.",
                _RELATIONS.get(str(document.get("relation")), "").format(*names),
                "They say the same in other words." if document.get("same_definition") else "",
                *(
                    f"{name}: {str(side['words']).rstrip('.')}."
                    for name, side in zip(names, (one, other), strict=True)
                    if side.get("words")
                ),
            )
        )


_RELATIONS: Final = {
    "same_users": "They hold the same users.",
    "first_within_second": "Everybody in {0} is in {1} too.",
    "second_within_first": "Everybody in {1} is in {0} too.",
    "no_user_in_common": "Nobody is in both.",
}


class Explanation(Struct, frozen=True):
    """How the audience of a segment or a definition comes about, condition by condition."""

    segment: int | Mapping[str, Any]

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        explained = latest(results, EXPLAIN)
        if explained is None:
            return asked(EXPLAIN, {"segment": self.segment}, context)
        if explained.failed:
            return failed(explained)
        document = explained.document
        name = document.get("name") or "This audience"
        lines = [_effect(item) for item in document.get("conditions") or ()]
        emptied: Mapping[str, Any] = document.get("emptied_by") or {}
        return Turn(
            (
                f"{name} matches {document['matched_users']:,} of {counted(document['universe'], 'user')} now.",
                "\n".join(["Condition by condition:", *lines]) if lines else "",
                str(emptied.get("detail", "")),
            )
        )


def _effect(item: Mapping[str, Any]) -> str:
    left_out = "left out: " if item.get("role") == "exclude" else ""
    after = f", {item['audience_after']:,} left after it" if item.get("audience_after") is not None else ""
    return f"- {left_out}{item['words']}: {counted(item['matched_users'], 'user')} by itself{after}"


class Trend(Struct, frozen=True):
    """How a segment's membership developed; without a window, in the last 30 days."""

    segment: int | str
    window: Window | None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        days, said = self._days(context)
        trend = latest(results, TREND)
        if trend is None:
            return asked(TREND, {"segment": self.segment, "days": days}, context)
        if trend.failed:
            return failed(trend)
        document = trend.document
        points = [point for point in document["points"] if self._within(str(point["day"]), context)]
        if points and draws(CHART, results, context):
            shown = (
                said if self.window is None or self.window.ends_now else f"since {day(document['points'][0]['day'])}"
            )
            title = f"Members of {document['name']}, {shown}"[:120]
            return called(CHART, {"title": title, "measure": "members", "tool_call_id": trend.call_id})
        return Turn(_trend_sentences(str(document["name"]), points, said))

    def _days(self, context: Context) -> tuple[int, str]:
        """How many days back to ask for, and the time span in words."""
        if self.window is None:
            return 30, "the last 30 days"
        start, _ = self.window.span(context.as_of, context.timezone)
        whole = self.window.length.days if self.window.kind == "last" and self.window.length else None
        today = dates.local_date(context.as_of, context.timezone)
        days = whole or (today - dates.local_date(start, context.timezone)) // timedelta(days=1) + (
            self.window.kind != "last"
        )
        if days > _MOST_DAYS:
            return _MOST_DAYS, f"the last {_MOST_DAYS} days, which is as far back as I can look"
        return max(1, days), self.window.words().removeprefix("in ")

    def _within(self, point: str, context: Context) -> bool:
        if self.window is None or self.window.ends_now:
            return True
        _, end = self.window.span(context.as_of, context.timezone)
        return point <= dates.local_date(end - timedelta(microseconds=1), context.timezone).isoformat()


def _trend_sentences(name: str, points: Sequence[Mapping[str, Any]], said: str) -> tuple[str, ...]:
    if not points:
        return (f"{name} has no stored membership history for this: {said}.",)
    first, last = points[0], points[-1]
    if len(points) == 1:
        only = f"{counted(last['count'], 'member')} on {day(last['day'])}"
        return (f"{name} was computed on one day only, so no trend can be told: {only} ({said}).",)
    low, high = min(points, key=lambda point: point["count"]), max(points, key=lambda point: point["count"])
    went = "grew" if last["count"] > first["count"] else "shrank" if last["count"] < first["count"] else "ended as large as it began"  # fmt: skip
    return (
        f"{name} {went}, {said}: {counted(first['count'], 'member')} on {day(first['day'])}, {last['count']:,} on {day(last['day'])}.",
        f"The lowest day was {day(low['day'])} with {low['count']:,}, the highest {day(high['day'])} with {high['count']:,}.",
    )


class Conditions(Struct, frozen=True):
    """What a segment's conditions are."""

    segment: int | str

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        detail = latest(results, DETAIL)
        if detail is None:
            return asked(DETAIL, {"segment": self.segment}, context)
        if detail.failed:
            return failed(detail)
        document = detail.document
        if document["definition"] is None:
            return Turn((document["words"],))
        conditions = [f"- {words}" for words in document.get("conditions") or ()]
        logic = str(document.get("logic") or document["definition"].get("logic", "AND")).upper()
        head = (
            f"{document['name']} has this condition:"
            if len(conditions) == 1
            else f"{document['name']} takes users who meet {'any' if logic == 'OR' else 'all'} of these conditions:"
        )
        excluded = [f"- {words}" for words in document.get("exclusions") or ()]
        sentences = ["\n".join([head, *conditions])]
        if excluded:
            sentences.append("\n".join(["It leaves out those who match:", *excluded]))
        tier = str(document.get("tier") or "").replace("_", " ")
        return Turn((*sentences, f"It is a {tier} segment." if tier else ""))


class Members(Struct, frozen=True):
    """Who the members are: the first of them by user id."""

    segment: int
    limit: int | None = None

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        detail = latest(results, DETAIL)
        if detail is None:
            return asked(DETAIL, {"segment": self.segment, "members": self.limit or _LISTED}, context)
        if detail.failed:
            return failed(detail)
        document = detail.document
        words = f"In words: {document.get('words', '')}"
        count, members = document.get("member_count"), document.get("members") or ()
        if count is None:
            return Turn((f"{document['name']} has not been computed yet, so it has no members to list.", words))
        when = f", computed {moment(document['last_computed_at'], context)}" if document.get("last_computed_at") else ""
        has = f"{document['name']} has {counted(count, 'member')}{when}"
        if not members:
            return Turn((f"{has}.", words))
        which = "" if len(members) >= count else f"; the first {len(members):,} by user id"
        return Turn(("\n".join([f"{has}{which}:", *(f"- {one}" for one in members)]), words))
