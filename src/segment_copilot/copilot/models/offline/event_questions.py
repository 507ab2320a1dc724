"""Questions about events, their properties and values, to plans."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct, structs

from segment_copilot.copilot.models.offline import catalog_answers, event_answers, value_answers
from segment_copilot.copilot.models.offline.asking import (
    EVENTS,
    PROPERTIES,
    SCHEMAS,
    SEGMENTS,
    TREND,
    Question,
    coarse,
)
from segment_copilot.copilot.models.offline.chunks import Chunk, sort
from segment_copilot.copilot.models.offline.fields import owned_by, property_in, sold
from segment_copilot.copilot.models.offline.index import stems_of
from segment_copilot.copilot.models.offline.lexer import Token, written
from segment_copilot.copilot.models.offline.lexicon import NOISE, PEOPLE, stems
from segment_copilot.copilot.models.offline.linker import Link, chosen, link_event
from segment_copilot.copilot.models.offline.money import amount_field
from segment_copilot.copilot.models.offline.phrases import quantity
from segment_copilot.copilot.models.offline.plan import Plan, Say
from segment_copilot.copilot.models.offline.segment_questions import RULES
from segment_copilot.copilot.models.offline.values import Item, Test

_TOP: Final = stems(
    "top popular common frequent frequently rank ranked ranking highest biggest busiest volume most largest leading best main often"
)
_BOTTOM: Final = stems("least rarest rare fewest lowest uncommon infrequent bottom")
_LATEST: Final = stems("latest newest recent recently last just")
_ARRIVED: Final = stems(
    "ingest receive arrive ingestion come record track happen collect send log land fire flow stream get news going went in"
)
_INGESTED: Final = stems("ingest receive arrive ingestion")
_VOLUME: Final = stems(
    "volume daily per number count many chart graph plot often trend time timeline development happen traffic amount total frequency"
)
_BUSIEST: Final = stems("busiest quietest slowest best worst peak biggest most fewest least highest lowest")
_DAYS: Final = stems("day date weekday")
_VALUES: Final = stems(
    "term keyword phrase value option possible exist distinct available different unique take choice kind type example used"
)
_BY: Final = stems("by per breakdown broken split distribution share across each")
_MEANS: Final = stems("mean about describe description represent meaning stand tell know explain definition")
_HELD: Final = stems(
    "contain include hold carry have come available registered type list detail name look know about store stored"
)
_SUMS: Final = stems("revenue turnover sum income earn earning gross gmv aov mrr arr profit margin ltv clv")
_AVERAGES: Final = stems("average mean median avg typical typically")
_MADE: Final = stems(
    "use used get got place make made happen occur take took come came do did be are receive had have there going perform record like see saw log register live locate located base based try tried pick picked choose chosen prefer spend"
)
_RISE: Final = stems(
    "compare compared comparison versus vs against than to relative more fewer less up down higher lower difference"
)
_NOT_EVENTS: Final = stems("catalog weather time price")
_FRAGMENT_FILLERS: Final = stems("volume number count total chart graph trend traffic amount")


SPENT: Final = (
    _VOLUME
    | TREND
    | _RISE
    | _TOP
    | _BOTTOM
    | _LATEST
    | _BUSIEST
    | _DAYS
    | _MADE
    | EVENTS - stems("activity")
    | _VALUES
    | _BY
    | _MEANS
    | _HELD
)
"""Words of questions that are not what they are about."""


def read_about_events(question: Question, today: date) -> Plan | None:
    """The plan for a question about events; None for any other."""
    for reader in _READERS:
        plan = reader(question, today)
        if plan is not None:
            return plan
    return None


class _Named(Struct, frozen=True):
    """What was named: an event type with filters, or a refusal."""

    link: Link | None = None
    refusal: tuple[str, ...] = ()


def _named(question: Question, today: date, *spent: frozenset[str]) -> _Named:
    """The event type that the words left over name, with its filters; empty when they name none or say more."""
    left, compared = question.left(*spent), _compared(question.rest)
    kept = tuple(
        sold(token)
        for at, token in enumerate(question.rest)
        if token.kind != "word" or at in compared or token in left or _joins(token)
    )
    items: Sequence[Item] = sort(kept, today).items
    if not any(isinstance(item, Token) and item.stem not in NOISE for item in items):
        return _Named()
    links = link_event(items, question.index)
    if not links or links[0].known is None:
        return _Named()
    link = chosen(links, written([item for item in items if isinstance(item, Token)]))
    if link.unknown_values:
        return _Named(refusal=tuple(value_answers.unknown(value) for value in link.unknown_values))
    if link.unexplained:
        return _Named()
    return _Named(link if not link.quantities else _with_amount(link, sort(kept, today)))


def _with_amount(link: Link, chunk: Chunk) -> Link | None:
    """Of "orders over 200": the number bounds the amount of each."""
    field = amount_field(link.known, chunk) if link.known and len(link.quantities) == 1 else None
    amount = link.quantities[0]
    if field is None or amount.times or amount.none or (amount.bare and not amount.currency):
        return None
    note = f"the amount is `{field.path}`, as stored" + ("; no currency is converted" if amount.currency else "")
    test = Test(field, "eq" if amount.bare else amount.operator, amount.value, frozenset(), amount.value2, note)
    return structs.replace(link, tests=(*link.tests, test), quantities=())


def _compared(tokens: tuple[Token, ...]) -> frozenset[int]:
    """The places of comparisons with a number: "more than 200"."""
    found = ((at, read[1]) for at in range(len(tokens)) for read in [quantity(tokens, at)] if read)
    return frozenset(place for first, after in found if after > first + 1 for place in range(first, after))


def _joins(token: Token) -> bool:
    return token.stem in NOISE and token.lower not in {"do", "we", "i", "our", "us", "me", "my", "there", "have"}


def _schema(question: Question, today: date) -> Plan | None:
    """What is recorded with an event, and about people."""
    asks = question.has(PROPERTIES) or question.has(SCHEMAS)
    tracked = question.says("do we track", "do you track", "is tracked", "do we know", "do we store", "do we collect", "do you know", "do we record", "do we have on", "get tracked", "are tracked", "we tracking", "do you collect", "do you have on")  # fmt: skip
    means = (question.first in {"what", "describe", "explain", "how"} and question.has(_MEANS)) or question.says(
        "tell me about", "tell me more about"
    )
    is_it = question.first == "what" and (
        question.says("what is a", "what is an")
        or (question.says("what is", "what are") and any(token.kind == "name" for token in question.rest))
    )
    inside = (
        question.focus == "events"
        and bool(question.words & stems("contain include hold look carry"))
        and not question.windows
    )
    if not (asks or tracked or means or is_it or inside) or question.how_many or question.windows:
        return None
    traits = bool(question.words & stems("trait attribute profile")) or (question.people and (asks or tracked))
    spent = (
        PROPERTIES
        | SCHEMAS
        | EVENTS
        | _HELD
        | _MEANS
        | RULES
        | stems(
            "track tracked tracking collect store record do exist kind data information info event sort which register"
        )
    )
    if traits and not question.left(spent, PEOPLE):
        return catalog_answers.Traits()
    named = _named(question, today, spent)
    if named.link is not None and not named.link.tests:
        return event_answers.Schema(named.link.event_type, named.link.note)
    if question.focus in {"schemas", "events"} and not question.left(spent):
        return event_answers.Schemas()
    if question.has(SCHEMAS) and not question.left(spent):
        return event_answers.Schemas()
    if tracked and not question.left(spent):
        return event_answers.Schemas()
    return None


def _event_types(question: Question, today: date) -> Plan | None:
    """Of "What events do you track", "list my event types"."""
    del today
    kinds = {"type", "typ", "kind"} & question.words
    listing = question.words & stems("track collect have exist available know list name all") or question.first in {
        "show",
        "list",
        "which",
    }
    if (
        question.focus != "events"
        or question.windows
        or not (kinds or listing)
        or question.words & (_LATEST | _INGESTED)
    ):
        return None
    spent = EVENTS | stems(
        "type kind track collect have exist available know list name all registered defined sort come in record send different"
    )
    return (
        None
        if question.left(spent) or question.has(_TOP - stems("often")) or question.has(_BOTTOM) or question.daily
        else event_answers.Schemas(counted=question.how_many)
    )


def _breakdown(question: Question, today: date) -> Plan | None:
    """The values of a property, by how often they occur."""
    del today
    asks = (
        question.first
        in {
            "which",
            "what",
            "where",
            "how",
            "show",
            "list",
            "give",
            "top",
            "breakdown",
            "split",
            "distribution",
            "most",
        }
        or question.has(_BY)
        or question.lowers & {"values", "options"}
    )
    ranked = bool(question.words & (_TOP | _BOTTOM))
    if question.focus == "segments" or not (asks or ranked) or question.daily or _busy_days(question):
        return None
    if question.how_many and not question.has(_BY):
        return None
    if (origin := _origin(question)) is not None:
        return origin
    owned = property_in(
        question,
        _VALUES
        | PROPERTIES
        | _TOP
        | _BOTTOM
        | _BY
        | _MADE
        | _MEANS
        | stems("look say go customer's rank sorted number volume count popularity frequency of"),
    )
    if owned is None:
        return None
    if isinstance(owned, tuple):
        return Say(owned) if ranked or question.has(_BY) else None
    return value_answers.Values(owned.path, owned.event_type, owned.note, question.window, question.number, least=question.has(_BOTTOM), ranked=ranked or question.has(_BY))  # fmt: skip


def _origin(question: Question) -> Plan | None:
    """Of "where do our visitors come from", "where do people live"."""
    if question.first != "where" and not question.says("from where"):
        return None
    if question.left(
        PEOPLE, stems("come from live located based reside visit traffic find visitor session visits world")
    ):
        return None
    visits = bool(question.words & stems("visitor traffic visit session find"))
    wanted = (
        ("utm_source", "source", "referrer", "utm_medium", "channel")
        if visits
        else ("country", "region", "city", "location")
    )
    for name in wanted:
        for owned in owned_by(question.index, name):
            return value_answers.Values(
                owned.path, owned.event_type, owned.note, question.window, question.number, ranked=True
            )
    return _origin_described(question) if not visits else None


def _origin_described(question: Question) -> Plan | None:
    for field in question.index.traits:
        if stems("residence country city live") & set(stems_of(field.known.description)):
            return value_answers.Values(field.path, None, "", None, question.number, ranked=True)
    return None


def _busy_days(question: Question) -> bool:
    return question.has(_DAYS) and question.has(_BUSIEST)


def _busiest_day(question: Question, today: date) -> Plan | None:
    """Of "what was the busiest day last month", "which day had the most orders"."""
    if not _busy_days(question) or question.segment is not None or question.people:
        return None
    spent = _BUSIEST | _DAYS | _MADE | EVENTS | stems("traffic with for on")
    low = bool(question.words & stems("quietest slowest worst fewest least lowest"))
    if not question.left(spent):
        return event_answers.Volume(None, question.window, extreme="low" if low else "high")
    named = _named(question, today, spent)
    if named.link is None:
        return None
    return event_answers.Volume(
        named.link.event_type,
        question.window,
        where=named.link.tests,
        note=named.link.note,
        extreme="low" if low else "high",
    )


def _top(question: Question, today: date) -> Plan | None:
    del today
    ranked, least = question.has(_TOP), question.has(_BOTTOM)
    happens = question.says(
        "happens most", "happened most", "happens the most", "happens least", "happens most often", "happened the most"
    )
    if not happens and (question.focus != "events" or not (ranked or least)):
        return None
    if (
        question.lowers & {"latest", "recent"}
        or question.daily
        or (question.how_many and not question.says("how often"))
    ):
        return None
    spent = (
        _TOP
        | _BOTTOM
        | EVENTS
        | _MADE
        | stems("type kind by number count frequency happen fire record track event sort tracked action thing")
    )
    if question.left(spent) or (
        question.words & stems("volume") and not question.words & (_TOP - stems("volume")) and not least
    ):
        return None
    return event_answers.Top(question.number or 10, question.window, least=least)


def _latest(question: Question, today: date) -> Plan | None:
    """Of "latest orders", "when was the last refund", "what just came in"."""
    when = question.first == "when"
    last = question.has(_LATEST) or question.lowers & {"last"}
    if not (when and last) and not (
        last
        and (question.first in {"show", "list", "give", "latest", "newest", "recent", "last", "most", "what", "which"})
    ):
        return None
    if question.people or question.words & SEGMENTS or (question.windows and not when):
        return None
    spent = _LATEST | EVENTS | _MADE | stems("most time when happen ever")
    if not question.left(spent):
        return event_answers.Recent(question.window, question.number) if not when else event_answers.Recent(None, 1)
    named = _named(question, today, spent)
    if named.link is None or named.link.tests:
        return None
    return event_answers.Latest(named.link.event_type, question.number, named.link.note)


def _arrived(question: Question, today: date) -> Plan | None:
    """What was ingested, of whatever type."""
    del today
    happened = question.first in {
        "show",
        "list",
        "what",
        "anything",
        "any",
        "is",
        "was",
        "has",
        "did",
        "which",
    } and bool(question.words & stems("happen ingest track receive come arrive new news going in land"))
    if (
        (question.focus != "events" and not happened)
        or question.segment
        or question.words & SEGMENTS
        or question.people
    ):
        return None
    if not (
        question.has(_ARRIVED)
        or question.has(_LATEST)
        or question.windows
        or question.says("what is new", "anything new", "any news")
    ):
        return None
    if question.left(
        _ARRIVED
        | EVENTS
        | _LATEST
        | _MADE
        | stems("new most far since on up data there type workspace store site shop business activity live moment")
    ):
        return None
    if question.windows and not (question.window and question.window.ends_now):
        return event_answers.Top(question.number or 10, question.window)
    if question.how_many and question.windows and not question.has(_INGESTED):
        return None
    return event_answers.Recent(question.window, question.number)


def _volume(question: Question, today: date) -> Plan | None:
    """How many events there were: of all types or of one, with filters, in one span or two."""
    if question.segment is not None or question.words & SEGMENTS or question.left(_NOT_EVENTS) != question.left():
        return None
    if question.people and not question.says("per user", "per customer"):
        return None
    if question.lowers & {"not", "never", "without", "no", "nor", "neither"} - ({"no"} if question.how_many else set()):
        return None
    there = question.first in {"any", "anything", "there"} or question.says("was there", "were there", "are there", "is there", "did we", "do we", "have we", "has there", "have there")  # fmt: skip
    asked = question.how_many or question.daily or question.has(_VOLUME) or question.has(TREND) or there
    fragment = _fragment(question)
    drawn = question.first in {"show", "chart", "plot", "draw", "graph", "give"} and (
        question.daily or bool(question.windows)
    )
    compares = len(question.windows) > 1
    if not (asked or fragment or drawn or compares):
        return None
    spent = _VOLUME | TREND | _RISE | stems("see any there step over-time going doing with tell hourly weekly monthly")
    everything = not question.left(spent, EVENTS, stems("all data traffic get have there happen receive record"))
    windows = question.windows
    if (
        everything
        and question.focus in {"events", ""}
        and (question.focus == "events" or question.has(stems("traffic")) or compares)
    ):
        return (
            event_answers.Comparison(None, windows[:2])
            if compares
            else event_answers.Volume(None, question.window, ever=question.ever, step=coarse(question))
        )
    named = _named(question, today, spent | EVENTS | stems("get got have receive happen record see saw place come"))
    if named.refusal:
        return Say(named.refusal)
    if named.link is None or named.link.event_type == "*":
        return None
    link = named.link
    if compares:
        return event_answers.Comparison(link.event_type, windows[:2], link.tests, link.note)
    return event_answers.Volume(
        link.event_type, question.window, where=link.tests, note=link.note, ever=question.ever, step=coarse(question)
    )


def _fragment(question: Question) -> bool:
    """Whether it is only a noun of events, in the plural: "orders last week", "page views of /pricing"."""
    words = [token for token in question.rest if token.kind == "word" and token.stem not in NOISE]
    if not words or question.first in {"no", "not", "never", "repeat", "at", "more", "over"} or question.people:
        return False
    opening = words[0]
    if opening.lower.endswith("ed") or question.tokens[0].kind in {"number", "money", "sign"}:
        return False
    nouns = [
        token
        for token in words
        if token.lower.endswith("s") and token.stem != token.lower and not token.lower.endswith("ss")
    ]
    return bool(nouns) or bool(question.words & _FRAGMENT_FILLERS)


def _sums(question: Question, today: date) -> Plan | None:
    """Of "how much revenue did we make": amounts are not added up here."""
    del today
    amount = question.has(_SUMS) or question.says("how much did we earn", "how much did we sell", "how much money")
    average = question.has(_AVERAGES) and not question.people
    spending = question.first == "how" and question.says("how much") and question.words & stems("spend spent pay paid")
    if not (amount or average or spending) or question.segment is not None:
        return None
    if any(token.kind == "money" for token in question.rest) or any(token.kind == "number" for token in question.rest):
        return None  # "AOV over 120" is an audience
    asks = question.first in {
        "what",
        "how",
        "show",
        "which",
        "is",
        "total",
        "tell",
        "give",
        "average",
        "revenue",
        "sum",
        "median",
        "compare",
    } or bool(question.windows)
    if not asks or (question.first == "how" and question.says("how many")):
        return None
    return Say(event_answers.NO_SUMS)


_READERS: Final = (
    _schema, _event_types, _busiest_day, _breakdown, _top, _latest, _sums, _arrived, _volume,
)  # fmt: skip
