"""What is neither a question nor an audience: greetings, the copilot itself, secrets, writes, forecasts and causes, edits of nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Say, declined
from segment_copilot.english.words.languages import foreign_language, said_in_english_only
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems

ABILITIES: Final = (
    "I can draft a segment from a description (what people did or never did, how often, how much and when, their traits, other segments, exclusions), "
    "count an audience, and answer questions about segments (sizes, trends, conditions), events (top types, volumes, the latest), "
    "event schemas and connectors."
)
_ITSELF: Final = (
    "I am the offline copilot of this workspace: I parse English sentences by a grammar, without a language model."
)
_WELCOME: Final = "You are welcome. Ask on whenever you like."
_SECRETS: Final = (
    "I cannot show instructions, keys, passwords or anything of how I am run: I only look at the users, events, segments and connectors of this workspace.",
)
_ELSEWHERE: Final = ("I can only look at this workspace; no other one can be reached from here.",)
_READS_ONLY: Final = (
    "I cannot change, save, compute, send or export anything here: I only read, count and draft. Saving a draft is up to you.",
    ABILITIES,
)
_NO_DRAFT: Final = (
    "There is no draft here that this could change.",
    "Describe the audience first, for example 'users who placed at least 5 orders in the last 90 days', or open a draft or a segment.",
)
AHEAD: Final = ("I cannot look at a time that is still to come: I only read the events and members of the past.",)
_GREETING_LENGTH: Final = 4
_HELP: Final = re.compile(
    r"(what|how) (else )?(can|do) (you|i|we)( do)?( use| ask| help|\b)(?! (have|track|see|know|collect|record|get|make|count))"
)
_IDENTITY: Final = re.compile(
    r"\b(who|what) (are|r) (you|u)\b|\b(which|what)( kind of| type of)?( language)? (model|llm|ai|version|bot|assistant)\b.*\b(you|this|it|use|used|running|behind)\b"
    r"|\bare you (an? |the |some )?(ai|bot|robot|human|person|chatgpt|claude|gpt|llm|real|machine|language model)\b|\b(what's|what is) your name\b|\bwho (made|built|created) you\b"
)
_SECRET: Final = re.compile(
    r"\b(system )?prompt\b|\b(your|previous|prior|above|earlier|all|these|initial|hidden) (instructions?|rules|guidelines|orders)\b"
    r"|\b(api|secret|private|access|database|db|admin) ?(key|keys|token|tokens|password|passwords|credentials?)\b|\b(password|credentials?|connection string|env(ironment)? variables?)\b"
    r"|\b(everything|text|words|lines?) (above|before this)\b|\bsource code\b"
)
_DEMANDS: Final = re.compile(
    r"(?:^|[,.;:!?]\s*)\W*(please |now |hey |ok |and |then )*(ignore|forget|disregard|override|bypass|print|reveal|show|tell|repeat|give|output|display|list|what|which|where|dump|leak|expose|write|share|quote|translate|summari[sz]e|can|could|i need|send|act|pretend|you)\b"
)
_OTHER_WORKSPACE: Final = re.compile(
    r"\b(that|another|other|different|someone else'?s?|their|his|her|all|every|each|second) (other )?(workspaces?|tenants?|organi[sz]ations?|customer'?s? workspaces?)\b"
    r"|\b(workspace|tenant|organi[sz]ation) (of|called|named|id|number|with)\b|\badministrator of\b|\badmin of\b"
)
_EDIT_COMMANDS: Final = ("make it ", "make that ", "drop the ", "change ", "undo")
_GREETINGS: Final = {"hi", "hello", "hey", "thanks", "thank", "help", "test", "ok", "okay", "bye", "cheers", "yo", "morning", "good", "great", "perfect", "nice", "cool", "thx", "ty"}  # fmt: skip
_THANKS: Final = {"thanks", "thank", "cheers", "great", "perfect", "nice", "cool", "thx", "ty", "bye", "ok", "okay"}
_WRITES = stems("delete recompute recalculate refresh rename save archive deactivate activate pause resume export import upload send email schedule sync connect disconnect publish duplicate clone copy push message notify compute rerun trigger launch cancel")  # fmt: skip
_SENDS = stems("send export import upload notify push sync message")
_WRITTEN = stems(
    "segment connector activation schema event user everyone everything all it this that them draft csv file list members member product customer audience campaign people"
)
_EDITS = stems(
    "change adjust modify edit update increase decrease raise lower tweak replace swap extend shorten rather"
)
_EDIT_STARTS = (
    "make it", "make that", "make this", "set it", "set the", "drop the", "remove the", "also add", "also include", "also exclude", "add the condition", "add a condition",
    "only ", "just ", "same ", "and also", "instead of", "actually", "what if", "same but", "the same but", "now only", "now exclude", "or ", "undo", "and ", "without the", "take out",
    "loosen", "tighten", "include also", "but ", "use ", "more than ", "not ", "no,", "yes",
)  # fmt: skip
_RUNS: Final = {
    "run",
    "do",
    "start",
    "perform",
    "trigger",
    "make",
    "force",
    "kick",
    "execute",
    "launch",
    "redo",
    "begin",
}
_COMPUTING: Final = stems(
    "computation recomputation recalculation refresh export import sync backup deletion upload update calculation recompute"
)
_PREDICTING: Final = stems(
    "predict predicted prediction predictive forecast forecasted likely likelihood probability probable propensity project projected"
)
_CAUSES: Final = stems(
    "why cause reason correlate correlation attribute attribution drive driven driver impact influence explain"
)
_ADVICE: Final = stems(
    "recommend recommendation suggest suggestion advise advice optimize improve should strategy idea insight analyze analyse best"
)
_NEARING: Final = (
    "approaching",
    "nearing",
    "getting close",
    "about to",
    "close to",
    "going to",
    "on the verge",
    "on the brink",
    "at risk",
    "soon to",
    "near to",
    "likely to",
    "next to",
)
_SELF: Final = {"me", "my", "i", "we", "our", "us", "you", "your"}
_ASKS: Final = {"who", "which", "what", "how", "when", "where", "will", "is", "are", "does", "do", "can", "could", "should", "would", "why", "did", "has", "have"}  # fmt: skip


def foreign(text: str) -> bool:
    """Whether the message is not in English."""
    return foreign_language(text) is not None


def otherwise(text: str, tokens: Sequence[Token], *, follows: bool, index: Index | None = None) -> Say | None:
    """What is said to a message that no plan answers; None for one that may be a question or an audience."""
    words = [token for token in tokens if token.kind != "sign"]
    lower = text.strip().lower()
    if (said := said_in_english_only(text, index.vocabulary if index else frozenset())) is not None:
        return declined(said)
    if not words:
        return Say(("There is no question in this message.", ABILITIES))
    if (answer := _about_itself(words, lower)) is not None:
        return answer
    if _writes(words):
        return declined(_READS_ONLY)
    if _edits(words, lower, follows=follows):
        return declined(_NO_DRAFT)
    return None


def _about_itself(words: Sequence[Token], lower: str) -> Say | None:
    """Greetings, the copilot, its secrets, other workspaces."""
    people = any(word.stem in PEOPLE - stems("account those one contact lead") for word in words)
    if _SECRET.search(lower) and _DEMANDS.search(lower) and not people:
        return declined((*_SECRETS, ABILITIES))
    if _OTHER_WORKSPACE.search(lower):
        return declined(_ELSEWHERE)
    if (
        len(words) <= _GREETING_LENGTH
        and words[0].lower in _GREETINGS
        and not any(word.kind == "name" for word in words)
    ):
        return Say((_WELCOME,) if words[0].lower in _THANKS else (ABILITIES,))
    if _IDENTITY.search(lower) and not people:
        return Say((_ITSELF, ABILITIES))
    if _HELP.match(lower) and "segment" not in lower:
        return Say((ABILITIES,))
    return None


def ahead(tokens: Sequence[Token]) -> tuple[str, ...] | None:
    """The sentence for a question about what is still to come: "how many orders will we get"."""
    words = [token.lower for token in tokens if token.kind != "sign"]
    asks = bool(words) and words[0] in _ASKS
    about = any(word in {"tomorrow", "tonight"} for word in words) or any(
        pair in pairwise(words) for pair in (("next", "week"), ("next", "month"), ("next", "year"), ("next", "quarter"))
    )
    will = "will" in words and any(word in _SELF for word in words) and "users" not in words
    return AHEAD if asks and (about or will) else None


def analysis(tokens: Sequence[Token], index: Index | None = None) -> tuple[str, ...] | None:
    """The sentences for a question about causes, the future or what to do; None for any other."""
    words = [token for token in tokens if token.kind != "sign"]
    if not words:
        return None
    text = f" {' '.join(word.lower for word in words)} "
    asks = words[0].lower in _ASKS or words[0].stem in _PREDICTING | _ADVICE
    opening = {word.stem for word in words[:3]}
    if words[0].lower == "why" or opening & _CAUSES - stems("attribute reason cause impact"):
        return _cannot("explain causes: I only count what happened", words, index)
    nears = any(f" {near} " in text for near in _NEARING) and asks
    if opening & _PREDICTING or (asks and any(_predicts(word, index) for word in words)) or nears:
        return _cannot("predict anything: I only count what happened", words, index)
    if asks and (opening & _ADVICE or any(word.stem in stems("should recommend suggest") for word in words)):
        return _cannot("recommend anything: I only count what happened", words, index)
    if asks and any(word.stem in _CAUSES for word in words):
        return _cannot("explain causes: I only count what happened", words, index)
    if words[0].lower == "compare" or words[0].stem in stems("correlate optimize analyze analyse improve"):
        return _cannot(
            "compare or analyse that: I compare two segments, and the events of two time spans", words, index
        )
    return None


def _predicts(word: Token, index: Index | None) -> bool:
    """Whether a word asks for a prediction, and is no name of this workspace."""
    return word.stem in _PREDICTING and not (index is not None and word.lower in index.vocabulary)


def _cannot(what: str, words: Sequence[Token], index: Index | None) -> tuple[str, ...]:
    about = tuple(word for word in words if word.stem not in NOISE)
    related = () if index is None else _related({word.stem for word in about}, index)
    there = (
        f"There {'is the segment' if len(related) == 1 else 'are the segments'} {' and '.join(related)}, whose conditions and members I can show."
        if related
        else ""
    )
    return (f"I cannot {what}, so '{written(about)}' has no answer here.", there or ABILITIES)


def _related(said: set[str], index: Index) -> tuple[str, ...]:
    """Names of segments that share a word with the question."""
    telling = said - PEOPLE - stems("segment high low new old big top last first week month day")
    named = [index.catalog.segments[number].name for number, name in index.segments.items() if telling & set(name)]
    return tuple(named[:3])


def unanswered(tokens: Sequence[Token], near: Sequence[str] = ()) -> tuple[str, ...]:
    """The sentences for a question about nothing that is known here."""
    about = written([token for token in tokens if token.text not in {"?", "!", "."}])
    nearest = f" The nearest names here: {', '.join(f'`{name}`' for name in near)}." if near else ""
    return (
        f"I can only answer questions about the users, events, segments and connectors of this workspace, and found nothing in it for '{about}'.{nearest}",
    )


def _writes(words: Sequence[Token]) -> bool:
    start = 0
    while start < len(words) - 1 and words[start].lower in _BEFORE_WRITES:
        start += 1
    if words[start].lower in _RUNS and any(word.stem in _COMPUTING for word in words[start + 1 : start + 5]):
        return True
    if words[start].stem not in _WRITES or words[start].lower in {"activated", "sent"}:
        return False
    following = words[start + 1 : start + 7]
    if words[start].stem == "email" and following and following[0].stem in PEOPLE | stems("list open click subscriber"):
        return False  # "email subscribers"
    return (
        words[start].stem in _SENDS
        or not following
        or any(word.stem in _WRITTEN or word.kind == "name" for word in following)
    )


_BEFORE_WRITES: Final = {
    "please", "can", "could", "you", "now", "i", "want", "to", "would", "like", "need", "we", "let", "us", "go", "ahead", "and", "then", "great", "ok", "okay", "just", "kindly",
    "thanks", "perfect", "good", "yes", "will", "me", "for", "my",
}  # fmt: skip


def _edits(words: Sequence[Token], lower: str, *, follows: bool) -> bool:
    if words[0].stem in _EDITS:
        return True
    people = any(word.stem in PEOPLE - stems("one those") for word in words)
    if people:
        return False
    return lower.startswith(_EDIT_COMMANDS) or (follows and lower.startswith(_EDIT_STARTS))
