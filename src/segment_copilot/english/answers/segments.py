"""Answers about segments: their sizes, conditions, members, trends and movements, one user in one, two side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from segment_copilot.english.answers.words import (
    card,
    chart,
    counted,
    day,
    listed,
    moment,
    rfc3339,
    span,
    told_range,
)
from segment_copilot.english.plan import PREVIEW, Answer, Call, Context
from segment_copilot.english.questions.intents import Slots, Understood
from segment_copilot.english.times import dates
from segment_copilot.english.times.windows import Window

_MOST_DAYS: Final = 366
_MOST_CHANGES: Final = 50
_WEEK: Final = 7  # days
_LISTED: Final = 20  # members, where no number was named
_DETAIL: Final = "get_segment_detail"


def _segment(slots: Slots, context: Context) -> int | str | Mapping[str, Any] | None:
    """Return the segment as the tools take it: an id, a name that nothing has, a definition; None is what is in view."""
    if slots.segments:
        return slots.segments[0].id
    if slots.base and context.base is not None:
        if context.base.segment_id is not None:
            return context.base.segment_id
        return None if context.base.in_view else context.base.definition
    return int(slots.text) if slots.text.isdecimal() else slots.text


def _of_definition(slots: Slots, context: Context) -> bool:
    """Return whether it is about a draft, which no tool that reads segments knows."""
    return slots.base and context.base is not None and context.base.segment_id is None


def size(asked: Understood, context: Context) -> Answer:
    """Tell how many members a segment has, or how many users a draft matches."""
    slots = asked.slots
    if _of_definition(slots, context) and context.base is not None:
        preview = yield Call(PREVIEW, {"definition": context.base.definition})
        yield card(context.base.name or "Users of this draft", preview["matched_users"], "users")
        return (f"The draft matches {preview['matched_users']:,} of {counted(preview['universe'], 'user')} now.",)
    detail = yield Call(_DETAIL, {"segment": _segment(slots, context)})
    name, count = detail["name"], detail.get("member_count")
    if count is not None:
        when = f"computed {moment(detail['last_computed_at'], context)}" if detail.get("last_computed_at") else ""
        yield card(f"{name} members", count, "users", when)
        return (f"{name} has {counted(count, 'member')}{', ' if when else ''}{when}.",)
    if detail["definition"] is None:
        return (detail["words"],)
    preview = yield Call(PREVIEW, {"definition": detail["definition"]})
    yield card(f"{name}: users who match now", preview["matched_users"], "users")
    return (
        f"{name} has not been computed yet; its definition matches {counted(preview['matched_users'], 'user')} now.",
    )


def computed(asked: Understood, context: Context) -> Answer:
    """Tell when a segment was computed last."""
    detail = yield Call(_DETAIL, {"segment": _segment(asked.slots, context)})
    name, when, count = detail["name"], detail.get("last_computed_at"), detail.get("member_count")
    if not when:
        return (f"{name} has not been computed yet.",)
    members = f", and had {counted(count, 'member')} then" if count is not None else ""
    status = str(detail.get("status") or "").replace("_", " ")
    told = f"{name} was last computed on {moment(when, context)} ({context.timezone}){members}."
    return (told, f"Its status is {status}." if status and status != "computed" else "")


def conditions(asked: Understood, context: Context) -> Answer:
    """Tell what a segment's or a draft's conditions are."""
    if _of_definition(asked.slots, context):
        return (yield from explanation(asked, context))
    detail = yield Call(_DETAIL, {"segment": _segment(asked.slots, context)})
    name, told = detail["name"], detail.get("conditions") or ()
    if detail["definition"] is None:
        return (detail["words"],)
    logic = str(detail.get("logic") or detail["definition"].get("logic", "AND")).upper()
    which = "any" if logic == "OR" else "all"
    head = (
        f"{name} has this condition:" if len(told) == 1 else f"{name} takes users who meet {which} of these conditions:"
    )
    return (listed(head, told) or f"{name}: {detail['words']}", listed("It leaves out those who match:", detail.get("exclusions") or ()))  # fmt: skip


def explanation(asked: Understood, context: Context) -> Answer:
    """Tell how an audience comes about, condition by condition."""
    segment = _segment(asked.slots, context)
    explained = yield Call("explain_segment", {"segment": segment} if segment is not None else {})
    name = explained.get("name") or "This audience"
    emptied: Mapping[str, Any] = explained.get("emptied_by") or {}
    return (
        f"{name} matches {explained['matched_users']:,} of {counted(explained['universe'], 'user')} now.",
        listed("Condition by condition:", [_effect(item) for item in explained.get("conditions") or ()]),
        str(emptied.get("detail", "")),
    )


def _effect(item: Mapping[str, Any]) -> str:
    left_out = "left out: " if item.get("role") == "exclude" else ""
    after = f", {item['audience_after']:,} left after it" if item.get("audience_after") is not None else ""
    return f"{left_out}{item['words']}: {counted(item['matched_users'], 'user')} by itself{after}"


def members(asked: Understood, context: Context) -> Answer:
    """Name the first members of a segment, by user id."""
    limit = asked.slots.number or _LISTED
    detail = yield Call(_DETAIL, {"segment": _segment(asked.slots, context), "members": limit})
    name, count, found = detail["name"], detail.get("member_count"), detail.get("members") or ()
    words = f"In words: {detail.get('words', '')}"
    if count is None:
        return (f"{name} has not been computed yet, so it has no members to list.", words)
    when = f", computed {moment(detail['last_computed_at'], context)}" if detail.get("last_computed_at") else ""
    has = f"{name} has {counted(count, 'member')}{when}"
    which = "" if len(found) >= count else f"; the first {len(found):,} by user id"
    return (listed(f"{has}{which}:", found) or f"{has}.", words)


def membership(asked: Understood, context: Context) -> Answer:
    """Tell whether one user is a member, and which conditions hold."""
    user = asked.slots.user
    checked = yield Call("check_user_membership", {"user_id": user, "segment": _segment(asked.slots, context)})
    name = checked.get("name") or "the segment"
    if not checked.get("in_universe", True):
        return (f"There is no user “{user}” here: nothing was ever recorded of them.",)
    was = checked.get("computed_member")
    stale = f"At the last computation they were {'a' if was else 'no'} member: that changes with the next one."
    return (
        f"User {user} {'matches' if checked['is_member'] else 'does not match'} {name} now.",
        "" if was is None or was == checked["is_member"] else stale,
        listed("Condition by condition:", [_tested(item) for item in checked.get("conditions") or ()]),
    )


def _tested(item: Mapping[str, Any]) -> str:
    measured = item.get("measured")
    told = (
        f" (measured: {measured})" if isinstance(measured, int | float | str) and not isinstance(measured, bool) else ""
    )
    return f"{'holds' if item['matches'] else 'does not hold'}: {item['words']}{told}"


def comparison(asked: Understood, context: Context) -> Answer:
    """Tell how large two segments are, and how many users are in both."""
    del context
    one, other = (segment.id for segment in asked.slots.segments)
    found = yield Call("compare_segments", {"first": one, "second": other})
    sides: tuple[Mapping[str, Any], ...] = (found["first"], found["second"])
    names = [side.get("name") or which for side, which in zip(sides, ("the first", "the second"), strict=True)]
    counts = [counted(side["matched_users"], "user") for side in sides]
    return (
        f"{names[0]} matches {counts[0]} now, {names[1]} {counts[1]}.",
        f"In both: {found['both']:,}; only in {names[0]}: {found['only_first']:,}; only in {names[1]}: {found['only_second']:,}.",
        _RELATIONS.get(str(found.get("relation")), "").format(*names),
        "They say the same in other words." if found.get("same_definition") else "",
        *(f"{name}: {str(side['words']).rstrip('.')}." for name, side in zip(names, sides, strict=True) if side.get("words")),
    )  # fmt: skip


_RELATIONS: Final = {
    "same_users": "They hold the same users.",
    "first_within_second": "Everybody in {0} is in {1} too.",
    "second_within_first": "Everybody in {1} is in {0} too.",
    "no_user_in_common": "Nobody is in both.",
}


# How a segment developed


def trend(asked: Understood, context: Context) -> Answer:
    """Tell how a segment's membership developed; without a time span, in the last 30 days."""
    window = asked.slots.window
    days, said = _days(window, context)
    found = yield Call("query_segment_membership_trend", {"segment": _segment(asked.slots, context), "days": days})
    name = str(found["name"])
    points = [point for point in found["points"] if _within(window, str(point["day"]), context)]
    if not points:
        return (f"{name} has no stored membership history for this: {said}.",)
    shown = said if window is None or window.ends_now else f"since {day(found['points'][0]['day'])}"
    yield chart(f"Members of {name}, {shown}", "members")
    return _developed(name, points, said)


def _days(window: Window | None, context: Context) -> tuple[int, str]:
    """Return how many days back to ask for, and the time span in words."""
    if window is None:
        return 30, "the last 30 days"
    start, _ = window.span(context.as_of, context.timezone)
    whole = window.length.days if window.kind == "last" and window.length else None
    since = dates.local_date(context.as_of, context.timezone) - dates.local_date(start, context.timezone)
    days = whole or since // timedelta(days=1) + (window.kind != "last")
    if days > _MOST_DAYS:
        return _MOST_DAYS, f"the last {_MOST_DAYS} days, which is as far back as I can look"
    return max(1, days), window.words().removeprefix("in ")


def _within(window: Window | None, point: str, context: Context) -> bool:
    if window is None or window.ends_now:
        return True
    _, end = window.span(context.as_of, context.timezone)
    return point <= dates.local_date(end - timedelta(microseconds=1), context.timezone).isoformat()


def _developed(name: str, points: Sequence[Mapping[str, Any]], said: str) -> tuple[str, ...]:
    first, last = points[0], points[-1]
    if len(points) == 1:
        only = f"{counted(last['count'], 'member')} on {day(last['day'])}"
        return (f"{name} was computed on one day only, so no trend can be told: {only} ({said}).",)
    low, high = (pick(points, key=lambda point: point["count"]) for pick in (min, max))
    grew = last["count"] - first["count"]
    went = "grew" if grew > 0 else "shrank" if grew < 0 else "ended as large as it began"
    return (
        f"{name} {went}, {said}: {counted(first['count'], 'member')} on {day(first['day'])}, {last['count']:,} on {day(last['day'])}.",
        f"The lowest day was {day(low['day'])} with {low['count']:,}, the highest {day(high['day'])} with {high['count']:,}.",
    )


def movement(asked: Understood, context: Context) -> Answer:
    """Tell who joined a segment and who left it; without a time span, in the last 7 days."""
    slots, window = asked.slots, asked.slots.window
    both = "moving" in slots.classes
    joined, left = (both or kind in slots.classes for kind in ("joining", "leaving"))
    when = {"from": rfc3339(context.as_of - timedelta(days=_WEEK))} if window is None else span(window, context)
    when = {"from": when["from"]} if window is not None and window.ends_now else when
    limit = {"limit": min(slots.number, _MOST_CHANGES)} if slots.number else {}
    found = yield Call("query_segment_changes", {"segment": _segment(slots, context), **when, **limit})
    name = found["name"]
    said = window.words().removeprefix("in ") if window else f"the last {_WEEK} days"
    ends = (told_range(window, context), "" if window else f"I took the last {_WEEK} days.")
    if not found["computations"]:
        if not found.get("last_computed_at"):
            return (f"{name} has not been computed yet, so nobody has joined or left it.", *ends)
        last = moment(found["last_computed_at"], context)
        return (f"{name} was not computed in this time ({said}), so nobody is known to have joined or left; its members are as of {last}.", *ends)  # fmt: skip
    verbs = [f"{counted(found['entered'], 'user')} joined {name}"] if joined else []
    verbs += [f"{counted(found['left'], 'user')} left {'it' if joined else name}"] if left else []
    now = f"; it has {counted(found['member_count'], 'member')} now" if found["member_count"] is not None else ""
    first = found.get("first_computed_at")
    new = f"It was computed for the first time on {moment(first, context)}: everybody who was in it then counts as joined."
    return (
        f"{' and '.join(verbs)} ({said}){now}.",
        new if first else "",
        _named("Joined", found["entered_users"], found["entered"], context) if joined else "",
        _named("Left", found["left_users"], found["left"], context) if left else "",
        *ends,
    )


def _named(verb: str, users: Sequence[Mapping[str, Any]], of: int, context: Context) -> str:
    some = ", the first of them" if len(users) < of else ""
    return listed(f"{verb}{some}:", [f"{one['user_id']}, {moment(one['at'], context)}" for one in users])
