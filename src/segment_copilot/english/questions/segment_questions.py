"""Questions about segments, single users and connectors, to plans."""

from __future__ import annotations

from typing import Final

from segment_copilot.english.answers import listing_answers, segment_answers, user_answers
from segment_copilot.english.linking.linker import link_event
from segment_copilot.english.plan import Plan, declined
from segment_copilot.english.questions.asking import CONNECTORS, EVENTS, PROPERTIES, SCHEMAS, SEGMENTS, TREND, Question
from segment_copilot.english.questions.names import SEGMENT_WORDS, reference
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems

RULES: Final = stems(
    "condition rule definition criterion criteria logic define defined explain describe qualify explanation"
)
_WEAK_RULES: Final = stems(
    "use look require need check test exclude leave event property window time mean consist made filter contain built work include behind about qualify definition based on"
)
_SIZE: Final = stems(
    "size big large count member membership many number population huge small contain hold currently belong matched match full"
)
_DOING: Final = stems("do doing fare perform performing go going develop look")
_TREND_MORE: Final = stems("membership member size number count fast quickly rate week month day lately recently size develop chart graph curve")  # fmt: skip
_COMPUTED: Final = stems(
    "compute computed computation recompute updated update refresh refreshed fresh calculate calculated stale evaluate run date"
)
_COMPARING: Final = stems(
    "compare comparison overlap overlapping versus vs difference differ different common share shared intersect intersection between against"
)
_WAYS_IN: Final = (
    "get into", "gets into", "got into", "getting into", "end up in", "ends up in", "ended up in", "belong to", "belongs to", "belong in",
    "belongs in", "qualify for", "qualifies for", "land in", "lands in", "become a member", "part of", "made up of", "excluded from", "left out of", "kept out of", "removed from", "counts as", "count as",
)  # fmt: skip
_LACK: Final = stems("small few empty nobody large big many little tiny shrink low high zero none no drop")
_PRODUCTS: Final = frozenset(
    [
        "webhook",
        "webhooks",
        "klaviyo",
        "braze",
        "mailchimp",
        "hubspot",
        "salesforce",
        "zapier",
        "slack",
        "iterable",
        "sendgrid",
        "intercom",
        "marketo",
        "bigquery",
        "snowflake",
        "google",
        "facebook",
        "meta",
        "tiktok",
        "s3",
    ]
)
_LARGER: Final = stems("bigger larger smaller biggest largest big large small great fewer")
_CONNECTED: Final = stems(
    "connect connected connection sync synced connector activate activated activation export push send destination integration"
)
_LARGEST: Final = stems("largest biggest top most large big size huge highest populous greatest")
_SMALLEST: Final = stems("smallest fewest least tiniest small lowest")
_NEWEST: Final = stems("newest latest recent recently new last")
_OLDEST: Final = stems("oldest old first earliest")
_EMPTY: Final = stems("empty no nobody zero without any members")
_LISTING: Final = stems(
    "exist existing available there saved list named called all current workspace got define defined set up together have"
)
_FAILED: Final = stems("fail failed failing broken error failure wrong crash")
_TIERS: Final = {"static": "static", "dynamic": "dynamic", "live": "dynamic", "plus": "dynamic_plus"}
_ABOUT: Final = stems("about use using used look regard concern involve mention contain include reference test relate related based depend for on at like containing matching named called with")  # fmt: skip
_WANTED: Final = {
    "failing": stems("fail error broken failing failed wrong problem issue"),
    "paused": stems("paused pause inactive disabled stopped off idle"),
    "active": stems("active enabled running live working"),
}


def read_about_segments(question: Question) -> Plan | None:
    """The plan for a question about segments, a user or connectors; None for any other."""
    for reader in _READERS:
        plan = reader(question)
        if plan is not None:
            return plan
    return None


def read_about_user(question: Question) -> Plan | None:
    """The plan for a question about a single user."""
    if question.segment is not None:
        return user_answers.Membership(question.user, question.segment.id)
    if question.words & (SEGMENTS | stems("member belong qualify match")):
        return declined((user_answers.ONE_SEGMENT,))
    return declined(user_answers.NO_PROFILE)


def _comparison(question: Question) -> Plan | None:
    if (
        len(question.segments) == 1
        and question.has(stems("compare overlap overlapping intersect"))
        and not question.windows
    ):
        return declined((segment_answers.ONE_MORE,))
    if len(question.segments) != 2:  # noqa: PLR2004 — a pair
        return None
    larger = question.has(_LARGER) and question.first in {"is", "are", "which", "what", "does"}
    within = question.first in {"is", "are", "do", "does"} and not question.how_many and not question.windows
    if not (question.has(_COMPARING) or larger or within) or question.left(
        _COMPARING, _LARGER, SEGMENT_WORDS, PEOPLE, _SIZE
    ):
        return None
    one, other = question.segments
    return segment_answers.Comparison(one.id, other.id)


def _explained(question: Question) -> Plan | None:
    """Of "why is VIP Buyers so small", "which condition of High LTV matters most"."""
    named = question.segment
    if named is None:
        return None
    lacks = question.first == "why" and question.has(_LACK)
    steps = question.says(
        "condition by condition", "step by step", "which condition", "which rule", "funnel", "which conditions"
    )
    weighs = question.has(stems("matter matters most limit limits narrow cut exclude removes remove costs lose"))
    return (
        segment_answers.Explanation(named.id)
        if lacks or (steps and (weighs or not question.says("which condition", "which rule", "which conditions")))
        else None
    )


def _rules(question: Question) -> Plan | None:
    opened = question.first in {"explain", "describe"} or question.says(
        "can you explain", "could you explain", "please explain", "explain to me", "explain me"
    )
    asks = question.first in {"what", "how", "which", "tell", "who", "about", "does", "is", "when"} or question.says(
        "tell me about"
    )
    ways = question.says(*_WAYS_IN) or (
        question.says("what does", "what do", "what is", "who is")
        and question.says("this segment", "the segment", "in the segment")
    )
    told = question.has(RULES) or (asks and question.has(_WEAK_RULES)) or (asks and ways)
    if not told or question.how_many or (question.first in {"which", "what"} and question.lowers & {"segments"}):
        return None
    named = question.segment
    if named is None:
        return (
            _unknown(question, RULES | _WEAK_RULES, segment_answers.Conditions) if question.has(RULES) or ways else None
        )
    left = question.left(RULES, _WEAK_RULES, SEGMENT_WORDS, PEOPLE, _SAID_PLAINLY)
    return None if left and not opened and not (ways and not question.windows) else segment_answers.Conditions(named.id)


_SAID_PLAINLY: Final = stems(
    "get into member qualify does simple plain english detail words exactly end land part who in out like looking see open page viewing view why"
)


def _trend(question: Question) -> Plan | None:
    named = question.segment
    doing = (
        named is not None
        and not question.how_many
        and question.says("doing", "faring", "performing", "going", "coming along", "developing")
    )
    asks = question.how_many or question.first in {"how", "what", "show", "which", "did", "has", "is", "was"}
    larger = question.has(_LARGER) and question.first in {"was", "has", "did", "is"}
    sized = (
        named is not None
        and question.window is not None
        and (larger or question.has(_SIZE) or (asks and not question.left(PEOPLE)))
    )
    if not (question.has(TREND) or question.daily or doing or sized or question.says("over time")):
        return None
    if named is None:
        about = question.words & (stems("membership") | SEGMENTS)
        if about and question.words & stems("which") and not question.has(stems("membership")):
            return declined((segment_answers.ONE_TREND,))
        return _unknown(question, TREND | _TREND_MORE, segment_answers.Trend) if about else None
    left = question.left(
        TREND,
        _TREND_MORE,
        _DOING,
        _SIZE,
        SEGMENT_WORDS,
        PEOPLE,
        _LARGER,
        stems("number gain lose gained lost up down still before than"),
    )
    return None if left else segment_answers.Trend(named.id, question.window)


def _computed(question: Question) -> Plan | None:
    if question.segment is None:
        return None
    if question.says(
        "who created",
        "who made",
        "who built",
        "who owns",
        "was created",
        "created by",
        "the owner of",
        "the author of",
        "created on",
    ):
        return declined((segment_answers.NO_AUTHOR,))
    if question.says("up to date", "up - to - date"):
        return segment_answers.Computed(question.segment.id)
    if not question.has(_COMPUTED):
        return None
    left = question.left(_COMPUTED, SEGMENT_WORDS, PEOPLE, stems("when last latest up date time ago old recently it"))
    return None if left else segment_answers.Computed(question.segment.id)


def _connectors(question: Question) -> Plan | None:
    about = (
        question.focus == "connectors"
        or (question.lowers & _PRODUCTS - question.index.vocabulary and not question.segment)
        or question.has(_CONNECTED & (CONNECTORS | stems("connect connected sync synced")))
    )
    if not about or (question.people and question.segment is None):
        return None
    wanted = next((name for name, words in _WANTED.items() if question.words & words), "")
    spent = frozenset[str]().union(*_WANTED.values())
    left = question.left(CONNECTORS, _CONNECTED, SEGMENTS, spent, stems("set configure configured setup go running to exist use exist available list with last ever fail recent type kind status state anything something"))  # fmt: skip
    if any(token.kind == "number" for token in left):
        return None
    kinds = tuple(token.lower for token in left)
    return listing_answers.Connectors(wanted, kinds, question.segment.id if question.segment else None)


def _size(question: Question) -> Plan | None:
    if not (question.how_many or question.has(_SIZE - stems("contain full match"))) or question.focus in {
        "events",
        "connectors",
        "schemas",
    }:
        return None
    named = question.segment
    if named is not None:
        if len(question.segments) == 2 and not _more(question):  # noqa: PLR2004 — a pair
            return segment_answers.Comparison(*(one.id for one in question.segments))
        return None if _more(question) or len(question.segments) > 1 else segment_answers.Size(named.id)
    if question.focus == "people" and not question.words & SEGMENTS:
        return None
    asked = question.words & (_LARGEST | _SMALLEST) - stems("size big large small")
    about = question.words & (SEGMENT_WORDS - stems("list")) or question.says("how big", "how large", "size of")
    return None if asked or not about else _unknown(question, _SIZE, segment_answers.Size)


def _more(question: Question) -> bool:
    """Whether words remain that make the question one about an audience: "in High LTV who ordered"."""
    return bool(question.left(_SIZE, SEGMENT_WORDS, PEOPLE, stems("today moment size big large strong again now")))


def read_members(question: Question) -> Plan | None:
    """Of "who is in VIP Buyers", "list the users in High LTV": its members, and nothing is drafted."""
    named = question.segment
    if named is None or question.how_many or question.windows or len(question.segments) > 1:
        return None
    if question.lowers & {"not", "never", "no", "without", "except", "but"}:
        return None
    listed = question.first in _LISTED and bool(question.words & PEOPLE)
    if not (listed or question.first in {"who", "who's", "whos"}) or question.left(PEOPLE, SEGMENT_WORDS, _BELONGING):
        return None
    return segment_answers.Members(named.id, question.number)


_LISTED: Final = {"which", "what", "list", "show", "name", "give", "display"}
_BELONGING: Final = stems("who who's whos belong in id first currently member")


def _about(question: Question) -> Plan | None:
    """Of "tell me about High LTV", "what is VIP Buyers"."""
    opened = question.first in {"what", "describe", "who", "about", "show", "open", "view", "display"} or question.says(
        "tell me about", "tell me more about", "know about"
    )
    if question.segment is None or not opened or question.people:
        return None
    return (
        None
        if question.left(SEGMENT_WORDS, stems("about more detail everything"))
        else segment_answers.Conditions(question.segment.id)
    )


def _segments(question: Question) -> Plan | None:
    """Which segments there are: all, the largest, the empty ones, those about something."""
    if not question.words & SEGMENTS or question.focus not in {"segments", ""}:
        return None
    if question.segment is not None:
        if question.first in {"which", "what"} and question.lowers & {"segments"}:
            return listing_answers.Search("", question.segment.name)
        there = question.says(
            "do we have", "is there", "are there", "have we got", "does a", "does the"
        ) and not question.left(_LISTING, SEGMENT_WORDS, PEOPLE)
        return segment_answers.Conditions(question.segment.id) if there else None
    if question.words & stems("recommend suggest should propose idea"):
        return None
    limit = question.number
    if (kept := _kept(question)) is not None:
        return kept
    spent = _LISTING | SEGMENT_WORDS | PEOPLE
    for order, words in (("smallest", _SMALLEST), ("largest", _LARGEST), ("oldest", _OLDEST), ("newest", _NEWEST)):
        if question.words & words and not question.left(spent, words, stems("by size member created")):
            return listing_answers.Segments(order, limit)
    if question.words & stems("create created add added") and not question.left(
        spent, _NEWEST, stems("create created add added made new when last")
    ):
        return listing_answers.Segments("newest", limit, undated=True)
    left = question.left(spent, _ABOUT, stems("create"))
    if left and not question.words & _ABOUT and not question.says("do we have", "is there", "are there", "have we got"):
        return None
    return listing_answers.Segments("name", limit, about=reference(left), counted=question.how_many) if not left else listing_answers.Search(_things(question, left), reference(left))  # fmt: skip


def _kept(question: Question) -> Plan | None:
    """Segments of one kind: empty, never computed, computed lately, failed, of a tier."""
    spent = _LISTING | SEGMENT_WORDS | PEOPLE
    limit = question.number
    if (
        question.words & stems("empty") or question.says("no members", "nobody in", "zero members", "without members")
    ) and not question.left(spent, _EMPTY):
        return listing_answers.Segments("largest", limit, kept="empty", counted=question.how_many)
    if question.has(_COMPUTED):
        never = bool(question.lowers & {"not", "never", "uncomputed"})
        left = question.left(spent, _COMPUTED, _NEWEST, stems("when never not yet ever last"))
        return None if left else listing_answers.Segments("largest", limit, kept="uncomputed" if never else "computed", window=question.window, counted=question.how_many)  # fmt: skip
    tier = next(
        (tier for word, tier in reversed(_TIERS.items()) if word in question.lowers or word in question.words), ""
    )
    if tier and not question.left(spent, stems("static dynamic live plus tier type")):
        return listing_answers.Segments("largest", limit, kept=tier, counted=question.how_many)
    if question.has(_FAILED) and not question.left(spent, _FAILED, _COMPUTED):
        return listing_answers.Segments("largest", limit, kept="failed", counted=question.how_many)
    return None


def _things(question: Question, left: tuple[Token, ...]) -> str:
    """The event type or property that the words name, as the definitions write it; "" for other words."""
    words = tuple(token for token in left if token.stem not in EVENTS | PROPERTIES | SCHEMAS)
    links = link_event(words, question.index) if words else ()
    if links and links[0].known is not None and not links[0].unexplained and not links[0].tests:
        return links[0].event_type
    said = {token.stem for token in words}
    fields = (*question.index.traits, *(field for known in question.index.events for field in known.fields))
    return next((field.path for field in fields if said and said == set(field.words)), "")


def _unknown(question: Question, spent: frozenset[str], plan: type[segment_answers.Conditions | segment_answers.Trend | segment_answers.Size]) -> Plan | None:  # fmt: skip
    """The plan for a segment that nothing here is named: the tool says what is near."""
    if (
        question.says("this segment", "the segment", "that segment")
        and question.viewed is None
        and not question.words & stems("called named")
    ):
        return (
            declined((segment_answers.WHICH_SEGMENT,))
            if not question.left(spent, SEGMENT_WORDS, PEOPLE, _SIZE, _WEAK_RULES, _SAID_PLAINLY)
            else None
        )
    named = _unknown_segment(question, spent)
    if (
        not named
        or named.lower() in _ANY_OF_THEM
        or (question.how_many and not question.words & SEGMENT_WORDS and not question.says("how big", "how large"))
    ):
        return None
    known: int | str = int(named) if named.isdecimal() else named
    return plan(known, question.window) if plan is segment_answers.Trend else plan(known)  # type: ignore[call-arg]


_ANY_OF_THEM: Final = {"no", "any", "each", "every", "all", "which", "a", "some", "one", "what", "other", "another"}


def _unknown_segment(question: Question, spent: frozenset[str]) -> str:
    """The words where a segment's name should be."""
    words: list[str] = []
    after = False
    for token in question.rest:
        if token.kind == "quoted":
            return token.text
        if token.lower in {"for", "of", "in", "behind", "does", "is", "has"}:
            after, words = True, []
        elif after and token.kind in {"word", "name"} and not _never_a_name(token, spent, first=not words):
            words.append(token.text)
    number = next((str(int(token.value)) for token in question.rest if token.kind == "number"), "")
    return " ".join(words) or (number if question.words & SEGMENTS else "")


def _never_a_name(token: Token, spent: frozenset[str], *, first: bool) -> bool:
    around = {"the", "my", "our", "there", "mean", "have", "has", "contain", "had"}
    return token.stem in spent | SEGMENT_WORDS | around or (token.stem in NOISE and first)


_READERS: Final = (
    _comparison, _explained, _rules, _computed, _connectors, _trend, _size, _about, _segments,
)  # fmt: skip
