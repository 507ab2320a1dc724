"""Reads when: what the readers of windows know, and the shorter and looser ways in which people write dates and lengths."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

from msgspec import structs

from segment_copilot.english.times import dates, phrases, windows
from segment_copilot.english.times.stretches import JOINTS, Stretch, day_number, several, stretch
from segment_copilot.english.words.lexer import Token, written

Read = tuple[windows.Window, int]

_NOW: Final = tuple(
    tuple(words.split())
    for words in (
        "up to now", "up until now", "until now", "till now", "to now", "up to today", "until today", "till today",
        "to date", "so far", "up to and including today", "including today", "counting back from today", "from now",
        "from today", "back from now", "back from today", "before now", "before today", "leading up to today",
        "leading up to now", "counted from today", "as of today", "as of now", "ending today", "ending now",
        "that just passed", "just passed", "just gone", "gone by",
    )
)  # fmt: skip
"""What may stand behind a length that ends now."""
_INCLUSIVE: Final = tuple(
    tuple(words.split())
    for words in (
        "both days included", "both days inclusive", "both ends included", "both inclusive", "both included", "both comprised",
        "both inside", "both incl", "included both", "inclusive both", "inclusive", "included", "incl .", "incl", "including that day",
        "that day included",
    )
)  # fmt: skip
"""What may stand behind days that belong to a time."""
_COMING: Final = tuple(tuple(words.split()) for words in ("that come", "which come", "to come", "that are coming", "ahead", "next", "coming", "time"))  # fmt: skip
_LEADS: Final = {"in", "on", "during", "within", "over", "for", "throughout", "of", "at", "around"}
_LOOSE: Final = {"may", "march", "mar", "sun", "sat", "august", "second", "dec"}
"""Names of months that are words too: alone, they are a month only with a capital."""
_BOUNDS: Final = frozenset({"since", "after", "before", "until", "till", "by", "from", "starting"})
_TWO_WORDS: Final = frozenset(
    {
        ("prior", "to"),
        ("up", "to"),
        ("up", "until"),
        ("as", "of"),
        ("starting", "from"),
        ("starting", "on"),
        ("from", "on"),
    }
)
_LATEST: Final = frozenset({("no", "later", "than"), ("not", "later", "than")})
_NOT_DATED: Final = frozenset({"cohort", "cohorts", "campaign", "collection", "season", "sale", "edition", "group"})
"""Nouns that a date in front of them names: "the 2024-02 cohort"."""
_FESTIVE: Final = frozenset(
    {
        "christmas",
        "xmas",
        "easter",
        "spring",
        "summer",
        "autumn",
        "fall",
        "winter",
        "holidays",
        "halloween",
        "valentine",
    }
)
_LONG_MONTHS: Final = frozenset(name for name in dates.MONTHS if len(name) > 3)  # noqa: PLR2004


def window(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Return the window at *at*, and the position behind it."""
    found = _once(tokens, at, today)
    if found is None:
        return None
    said, end = explained(tokens, found, today)
    return structs.replace(said, text=written(tokens[at:end])), end


def _once(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    found = next((one for read in _READERS if (one := read(tokens, at, today)) is not None), None)
    found = found or windows.window(tokens, at, today)
    if found is None or found[0].kind == "ever":
        return found
    said, end = found
    now = said.kind == "last" or (said.kind in {"period", "range"} and said.after is not None and said.after > today)
    return said, past(tokens, end, _NOW) if now else end


def _lower(tokens: tuple[Token, ...], at: int) -> str:
    return tokens[at].lower if 0 <= at < len(tokens) else ""


def past(tokens: tuple[Token, ...], at: int, phrases_of: tuple[tuple[str, ...], ...]) -> int:
    """Return the position behind words that add nothing to a time, in brackets or not."""
    start = at + (_lower(tokens, at) in {",", "("})
    for words in phrases_of:
        if phrases.lowers(tokens, start, len(words)) == words:
            end = start + len(words)
            closed = _lower(tokens, at) == "(" and _lower(tokens, end) == ")"
            return end + closed if closed or _lower(tokens, at) != "(" else at
    return at


def _behind_lead(tokens: tuple[Token, ...], at: int) -> tuple[int, str]:
    lead = _lower(tokens, at) if _lower(tokens, at) in _LEADS else ""
    at += bool(lead)
    at += bool(lead) and _lower(tokens, at) == "both"  # "in both May and June"
    return at + (_lower(tokens, at) == "the"), lead


def _range(first: date | None, after: date | None, lead: str = "in") -> windows.Window:
    return windows.Window("range", lead=lead, first=first, after=after)


def _bounded(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Since the first of March; before May 2025; no later than the end of last month; prior to Q2; from June 1 on."""
    word = _lower(tokens, at)
    latest = phrases.lowers(tokens, at, 3) in _LATEST
    start = at + 3 if latest else at + 2 if phrases.lowers(tokens, at, 2) in _TWO_WORDS else at + 1
    if (word not in _BOUNDS and start == at + 1) or _lower(tokens, at - 1) == "from":
        return None
    found = stretch(tokens, start, today) or _called(tokens, start, today)
    if found is None or (found.first == found.after and word != "from") or _lower(tokens, found.end) in _NOT_DATED:
        return None
    end = past(tokens, found.end, _INCLUSIVE)
    inside = end > found.end
    onward = word == "from" and _lower(tokens, end) in {"on", "onward", "onwards", "forward"}
    if word == "from" and not onward and (found.after - found.first != _ONE_DAY or _lower(tokens, end) in _GOES_TO):
        return None
    if word in {"since", "starting", "from", "as"}:
        return _range(found.first, None, ""), end + onward
    if word == "after":
        return _range(found.first if inside else found.after, None, ""), end
    until = latest or word in {"until", "till", "by", "through", "up"} or inside
    return _range(None, found.after if until else found.first, ""), end


_ONE_DAY: Final = timedelta(days=1)
_GOES_TO: Final = frozenset({"to", "until", "till", "through", "and", "-", "–", "up", ","})


def _calendar(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """In May; on Monday of last week; between 1 and 15 March; the first week of June; Nov-Dec 2025; "June" with a capital."""
    start, lead = _behind_lead(tokens, at)
    opened = _lower(tokens, start) in {"between", "from"}
    found = several(tokens, start + opened, today, opened=opened)
    if found is None and not opened:
        found = stretch(tokens, start, today) or (_called(tokens, start, today) if lead in {"in", "on", "during", "over"} else None)  # fmt: skip
        if found is None or found.edge or _is_period(tokens, start, found) or not (lead or _is_date(tokens, at, found)):
            return None
        if lead in {"for", "of", "at", "around"} and _lower(tokens, start) in _FESTIVE:
            return None
    if found is None or _lower(tokens, found.end) in _NOT_DATED:
        return None
    return _range(found.first, found.after, lead or "in"), past(tokens, found.end, _INCLUSIVE)


def _is_period(tokens: tuple[Token, ...], start: int, found: Stretch) -> bool:
    """Return whether a stretch is one that moves on with the calendar: today, this month, last week."""
    end = start + 2 if _lower(tokens, start) in {"this", "last", "previous", "current"} else start + 1
    return found.end == end and _lower(tokens, end - 1) in {"today", "yesterday", "week", "month", "quarter", "year"}


def _is_date(tokens: tuple[Token, ...], at: int, found: Stretch) -> bool:
    """Return whether a stretch is said without a preposition, and is no number or other word."""
    word, first = _lower(tokens, at), tokens[at] if at < len(tokens) else None
    if first is None or _lower(tokens, at - 1) in _LEADS | _BOUNDS | {"than", "under", "least", "most", "next", "the"}:
        return False
    if first.kind == "number":
        signs = {"-", ">", "<", ">=", "<=", "="}
        return found.end > at + 1 and _lower(tokens, at - 1) not in signs
    if word in dates.MONTHS and found.end == at + 1:
        capital = first.text[:1].isupper() and _lower(tokens, at - 1) not in {".", "!", "?"}
        loose = word in _LOOSE
        return (capital and _lower(tokens, at + 1) not in _MODAL) if loose else word in _LONG_MONTHS
    if found.end == at + 2 and _lower(tokens, at + 1) == "quarter":
        return False  # "the second quarter" of a test, too
    return first.kind == "date" or found.end > at + 1 or bool(re.fullmatch(r"q[1-4]", word))


def _called(tokens: tuple[Token, ...], at: int, today: date) -> Stretch | None:
    """Read "Easter Monday (6 April)", "winter, that is December to February": a time by a name, with its days behind it."""
    at += _lower(tokens, at) in {"the", "last", "our", "this"}
    for end in range(at + 1, min(at + 4, len(tokens))):
        token = tokens[end - 1]
        if token.kind != "word" or not (token.text[:1].isupper() or token.lower in _FESTIVE):
            return None
        behind = _explaining(tokens, end)
        if behind is None:
            continue
        behind += 2 * (phrases.lowers(tokens, behind, 2) in {("which", "was"), ("which", "is"), ("whole", "of")})
        found = several(tokens, behind, today, opened=False) or stretch(tokens, behind, today)
        closed = found is not None and _lower(tokens, end) == "(" and _lower(tokens, found.end) == ")"
        return structs.replace(found, end=found.end + closed) if found is not None else None
    return None


def _explaining(tokens: tuple[Token, ...], at: int) -> int | None:
    """Return where the words begin that say once more what stands before them: "(…)", ", that is …"."""
    start = at + (_lower(tokens, at) in {",", "(", "—"})
    for words in _THAT_IS:
        if phrases.lowers(tokens, start, len(words)) == words:
            return start + len(words)
    return start if _lower(tokens, at) == "(" else None


_THAT_IS: Final = tuple(
    tuple(words.split())
    for words in ("that is", "i . e .", "i.e .", "i.e.", "ie", "say", "meaning", "namely", "so", "which is", "which was", "i mean", "the whole of")
)  # fmt: skip


def explained(tokens: tuple[Token, ...], read: Read, today: date) -> Read:
    """Return a time with what a bracket says more exactly: "two weeks (14 days)", "last weekend (13/14 June)"."""
    said, end = read
    end = _counting_now(tokens, end)
    read = said, end
    start = _explaining(tokens, end)
    if start is None and _lower(tokens, end) == "," and (once := phrases.length(tokens, end + 1)) is not None:
        same = said.length is not None and _lower(tokens, once[1]) in _ENDS
        return (said, once[1]) if same and _about(said.length, once[0]) else read
    behind = _of_what_kind(tokens, end)
    if behind is not None:
        return _moving(said, today, calendar="calendar" in {token.lower for token in tokens[end:behind]}), behind
    days = _days_told(tokens, start, said) if start is not None else None
    if days is not None:
        return days
    inner = (_once(tokens, start, today) or _plain_length(tokens, start)) if start is not None else None
    opened = _lower(tokens, end) == "("
    if (
        inner is None
        or said.kind not in {"last", "period", "range", "ago"}
        or (opened and _lower(tokens, inner[1]) != ")")
    ):
        return read
    more, behind = inner[0], inner[1] + opened
    if more.kind == "range":
        return structs.replace(more, lead=said.lead), behind
    if more.kind == "last" and said.kind in {"last", "ago"}:
        return structs.replace(said, length=more.length, assumed=False), behind
    if more.kind == "last" and said.kind == "period":
        return structs.replace(more, lead=said.lead or "in", rolling=True), behind
    return read


def _about(said: phrases.Length | None, other: phrases.Length) -> bool:
    """Return whether two lengths are one said twice: "a month, four weeks"."""
    days = {"m": 1 / 1440, "h": 1 / 24, "d": 1, "w": 7, "mo": 30, "y": 365}
    return said is not None and abs(said.count * days[said.unit] / (other.count * days[other.unit]) - 1) < _NEAR


_NEAR: Final = 0.1


def _counting_now(tokens: tuple[Token, ...], at: int) -> int:
    """Return the position behind words that say that the time which goes on is one of those counted: "(this week included)"."""
    opened = _lower(tokens, at) in {",", "("}
    end = at + opened
    every = tokens[end : end + 4] if opened else ()  # "every day of the last week, seven out of seven"
    if (
        len(every) == _OUT_OF
        and every[0].kind == every[3].kind == "number"
        and [one.lower for one in every[1:3]] == ["out", "of"]
    ):
        return end + 4 if every[0].value == every[3].value else at
    while end < len(tokens) and end - at <= _ASIDE and _lower(tokens, end) not in _ENDS - {"and"}:
        end += 1
    words = {
        _lower(tokens, place)
        for place in range(at + opened, end)
        if tokens[place].kind != "number" or _lower(tokens, place) == "one"
    }
    said = words & {"current", "present", "running", "this", "today"} and words & _COUNTED and words <= _COUNTING
    closed = _lower(tokens, at) == "(" and _lower(tokens, end) == ")"
    return end + closed if opened and said and (closed or _lower(tokens, at) == ",") else at


_ASIDE: Final = 10  # words
_OUT_OF: Final = 4  # of "seven out of seven"
_COUNTED: Final = frozenset(
    {"included", "counted", "counting", "among", "including", "fourth", "third", "sixth", "last", "one", "part"}
)
_COUNTING: Final = _COUNTED | {
    "the", "current", "present", "running", "this", "today", "week", "month", "day", "with", "and", "as", "of", "them", "is", "being", "in", "s",
}  # fmt: skip


def _days_told(tokens: tuple[Token, ...], at: int, said: windows.Window) -> Read | None:
    """Read the days of a month that a bracket tells: "the first half of June (1-14)", "since mid May (15th)"."""
    if said.kind != "range" or said.first is None or _lower(tokens, at - 1) != "(":
        return None
    low = day_number(tokens, at)
    high = day_number(tokens, low[1] + 1) if low and _lower(tokens, low[1]) in JOINTS else None
    end = past(tokens, high[1] if high else low[1], _INCLUSIVE) if low else at
    if low is None or _lower(tokens, end) != ")":
        return None
    try:
        first = said.first.replace(day=low[0])
        after = first.replace(day=high[0]) + timedelta(days=1) if high else said.after
    except ValueError:
        return None
    return (structs.replace(said, first=first, after=after), end + 1) if after is None or first < after else None


def _of_what_kind(tokens: tuple[Token, ...], at: int) -> int | None:
    """Return the position behind words that say that a time is the calendar's, or moves: "(calendar)", "(a rolling one)"."""
    end = at + 1
    while end < len(tokens) and _lower(tokens, end) not in _ENDS:
        end += 1
    inside = {token.lower for token in tokens[at + 1 : end]}
    closed = _lower(tokens, end) == ")" if _lower(tokens, at) == "(" else _lower(tokens, at) == ","
    short = _lower(tokens, at) == "(" or not inside & {
        "week",
        "month",
        "quarter",
        "year",
    }  # ", last week" is another time
    told = inside & {"calendar", "rolling", "last"} and inside <= _KIND_WORDS and short
    return end + (_lower(tokens, at) == "(") if told and closed else None


_KIND_WORDS: Final = frozenset(
    {"calendar", "rolling", "last", "a", "one", "window", "if", "you", "can", "week", "month", "quarter", "year", "the"}
)
_CALENDAR: Final = {"1w": "week", "1mo": "month", "3mo": "quarter", "1y": "year"}


def _moving(said: windows.Window, today: date, *, calendar: bool) -> windows.Window:
    """Return a time as that of the calendar, or as one that moves with each day."""
    unit = _CALENDAR.get(said.length.json, "") if said.kind == "last" and said.length else ""
    if calendar and unit:
        first, after = dates.period(f"last_{unit}", today)
        return windows.Window("period", lead=said.lead, name=f"last_{unit}", first=first, after=after)
    length = next((key for key, word in _CALENDAR.items() if said.name == f"last_{word}"), "")
    if not calendar and length:
        read = phrases.Length(int(length[0]), "w" if length == "1w" else "y" if length == "1y" else "mo")
        return windows.Window("last", lead=said.lead or "in", rolling=True, length=read)
    return said


def _measured(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """In the 30 days before Monday the 15th; the two weeks after Christmas: a length beside a day."""
    start, lead = _behind_lead(tokens, at)
    read = phrases.length(tokens, start)
    word = _lower(tokens, read[1]) if read else ""
    if read is None or word not in {"before", "after"} or (start == at and read[1] > start + 1 and not lead):
        return None
    found = stretch(tokens, read[1] + 1, today)
    if found is None or read[0].unit in {"m", "h"}:
        return None
    scale = -1 if word == "before" else 1
    months = {"mo": 1, "y": 12}.get(read[0].unit, 0) * read[0].count * scale
    day = found.first if scale < 0 else found.after
    other = dates.add_months(day, months) if months else day + timedelta(days=scale * (read[0].days or 0))
    return _range(min(day, other), max(day, other), lead or "in"), found.end


def _plain_length(tokens: tuple[Token, ...], at: int) -> Read | None:
    read = phrases.length(tokens, at)
    return None if read is None else (windows.Window("last", lead="in", length=read[0]), read[1])


def _older(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Older than 30 days; no older than a month; under 2 weeks old; 30 days ago or less; 45+ days old."""
    del today
    compared = phrases.comparator(tokens, at)
    start = compared[1] if compared else at
    read = phrases.length(tokens, start)
    if read is None or (read[0].unit == "y" and read[0].count >= _GROWN):
        return None
    ago = _lower(tokens, read[1]) in {"ago", "back", "old"}
    if compared is not None and _lower(tokens, start - 2) in {"older", "newer", "younger"}:
        return windows.Window("ago", length=read[0], operator=compared[0]), read[1] + ago
    for words, operator in _AGO_OR.items():
        if ago and compared is None and phrases.lowers(tokens, read[1] + 1, len(words)) == words:
            return windows.Window("ago", length=read[0], operator=operator), read[1] + 1 + len(words)
    return None


_GROWN: Final = 14
"""So many years are somebody's age, and not how long ago something was."""
_AGO_OR: Final[Mapping[tuple[str, ...], phrases.Operator]] = {
    ("or", "less"): "lte", ("or", "more"): "gte", ("or", "longer"): "gte", ("at", "most"): "lte", ("or", "earlier"): "gte",
    ("at", "least"): "gte", ("or", "later"): "lte", ("max",): "lte", ("or", "sooner"): "lte", ("or", "before"): "gte",
}  # fmt: skip


def _ahead(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """In the 5 days that come; the two weeks ahead; in 14 days' time."""
    del today
    start, lead = _behind_lead(tokens, at)
    read = phrases.length(tokens, start)
    if read is None or not (lead or _lower(tokens, start - 1) == "the"):
        return None
    end = past(tokens, read[1], _COMING)
    return (windows.Window("next", lead=lead, length=read[0]), end) if end > read[1] else None


def _running(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """In the three weeks up to now; the two weeks until today: a length that is said to end now."""
    del today
    start, lead = _behind_lead(tokens, at)
    read = phrases.length(tokens, start) if _lower(tokens, start - 1) in {"the", "in", "within", "over"} else None
    if read is None or past(tokens, read[1], _NOW) == read[1]:
        return None
    return windows.Window("last", lead=lead or "in", rolling=True, length=read[0]), read[1]


def _since_length(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Since 6 weeks: as those say it who mean "for 6 weeks"."""
    del today
    if _lower(tokens, at) != "since":
        return None
    compared = phrases.comparator(tokens, at + 1)
    start = compared[1] if compared else at + 1
    read = phrases.length(tokens, start)
    if read is None or read[1] == start + 1 or _lower(tokens, read[1]) in {"ago", "back"}:
        return None
    operator = compared[0] if compared else None
    lead = "in" if operator in {"lt", "lte"} else "for"
    return windows.Window("last", lead=lead, length=read[0], operator=operator), read[1]


def _same(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """In those days; that month; in the same two weeks: when something was that is spoken of before."""
    del today
    start = at + (_lower(tokens, at) in _LEADS)
    if (
        at == 0
        or _lower(tokens, start) not in {"that", "those", "these", "this", "it"}
        or (_lower(tokens, start) == "it" and _lower(tokens, at) != "during")
        or (start == at and _lower(tokens, at) != "that")
    ):
        return None
    length = phrases.length(tokens, start + 1)
    end = length[1] if length else start + 2
    unit = _lower(tokens, end - 1)
    if _lower(tokens, at) in {"in", "during", "within"} and _lower(tokens, start + 1) in _ENDS:
        return windows.Window("same"), start + 1  # "none in these"
    longer = {"month", "quarter", "year", *(("week", "day", "weekend") if start > at else ())}
    pointed = unit in longer if _lower(tokens, start) == "that" else unit in _SPANS
    return (windows.Window("same"), end) if pointed else None


_ENDS: Final = frozenset({"", ",", ".", ";", ")", "?", "!", "and", "but"})


_SPANS: Final = frozenset({"days", "weeks", "months"})


def _periods_of(tokens: tuple[Token, ...], at: int, today: date) -> Read | None:
    """Every week of the last six; three months out of the last five: so many of what was said to be counted."""
    del today
    back = at - 1
    while back > 0 and _lower(tokens, back) in {"of", "out", "the", "in"}:
        back -= 1
    every = _lower(tokens, back - 1) in {"every", "each"}
    unit = _PERIODS_OF.get(_lower(tokens, back)) if back < at - 1 or every else None
    at += _lower(tokens, at) == "the"
    number = tokens[at + 1] if _lower(tokens, at) in {"last", "past"} and at + 1 < len(tokens) else None
    if unit is None or number is None or number.kind != "number" or phrases.length(tokens, at + 1) is not None:
        return None
    read = phrases.quantity(tokens, at + 1)
    if read is None or read[1] != at + 2 or not float(read[0].value).is_integer():
        return None
    return windows.Window("last", lead="of", rolling=True, length=phrases.Length(int(read[0].value), unit)), at + 2


_PERIODS_OF: Final[Mapping[str, phrases.Unit]] = {
    "day": "d", "days": "d", "week": "w", "weeks": "w", "month": "mo", "months": "mo",
}  # fmt: skip


_MODAL: Final = {"i", "we", "you", "it", "they", "be", "have", "the", "a", "one", "not", "also"}
"""What stands behind "May" where it asks for leave."""
_READERS: Final[tuple[Callable[[tuple[Token, ...], int, date], Read | None], ...]] = (
    _measured, _bounded, _ahead, _older, _running, _since_length, _same, _periods_of, _calendar,
)  # fmt: skip


def past_inclusive(tokens: tuple[Token, ...], at: int) -> int:
    """Return the position behind words that say that both ends of a range belong to it."""
    return past(tokens, at, _INCLUSIVE)
