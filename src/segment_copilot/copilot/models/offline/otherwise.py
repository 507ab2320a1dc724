"""What is neither a question nor an audience: greetings, writes, edits of a draft, analysis, other languages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from segment_copilot.copilot.models.offline.lexer import Token
from segment_copilot.copilot.models.offline.lexicon import PEOPLE, stems
from segment_copilot.copilot.models.offline.stems import listed

ABILITIES = (
    "I can draft a segment from a description (what people did or never did, how often, how much and when, their traits, other segments, exclusions), "
    "count an audience, and answer questions about segments (sizes, trends, conditions), events (top types, volumes, the latest), "
    "event schemas and connectors."
)

_FOREIGN = frozenset(listed(
    "el los las una unos unas que quién quienes para por con sin pero nunca han ha hace últimos últimas "
    "días usuarios clientes compraron cuántos cuáles cómo mis le les des du qui dans sur avec sans mais "
    "jamais ont depuis derniers jours utilisateurs clients acheté combien quels quelles mes est der die "
    "das den dem und oder aber nicht kein keine die mit ohne von für auf letzten tagen nutzer kunden "
    "gekauft wie viele welche meine ist haben il lo gli che chi per senza ma mai hanno negli ultimi "
    "giorni utenti clienti acquistato quanti quali os as uns umas quem com sem mas nunca nos últimos dias "
    "usuários compraram quantos quais meus het een niet geen met zonder maar nooit laatste dagen "
    "gebruikers klanten gekocht hoeveel mijn crear crea segmento créer erstelle segmente pokaż "
    "użytkownicy"
)
)  # fmt: skip
_ENGLISH = frozenset(listed(
    "the a an of to and or but not who that which with without in on for from have has had are is was "
    "were users user customers customer people anyone segment segments last days day week weeks month "
    "months never how many what show list create build find more than less over under least did do i my "
    "me we our events event at all this most their they purchased bought visited viewed spent active per "
    "any every no top named were been give count"
)
)  # fmt: skip
_SCRIPT = re.compile(r"[\u0370-\u1cff\u2e80-\uffdc]")
_GREETING_LENGTH = 4
_HELP = re.compile(r"(what|how) (can|do) (you|i|we)( do)?( use| ask|\b)(?! (have|track|see|know|collect))")
_EDIT_COMMANDS = ("make it ", "make that ", "drop the ", "change ", "undo")
_GREETINGS = {"hi", "hello", "hey", "thanks", "thank", "help", "test", "ok", "okay", "bye", "cheers", "yo"}
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
_ANALYSIS = stems(
    "why predict forecast recommend suggest correlate correlation attribute attribution explain optimize improve likely probability propensity approach analyze analyse insight"
)


def foreign(text: str) -> bool:
    """Whether the message is not in English."""
    if len(_SCRIPT.findall(text)) > len(re.findall(r"[A-Za-z]", text)):
        return True
    words = [word for word in re.findall(r"[^\W\d_]+", text.lower()) if word]
    other = sum(word in _FOREIGN and word not in _ENGLISH for word in words)
    own = sum(word in _ENGLISH for word in words)
    return other > max(1, own)  # one foreign word may be a name


def otherwise(text: str, tokens: Sequence[Token], *, follows: bool) -> tuple[str, ...] | None:
    """The sentences for a message that no plan answers; None for one that may be a question or an audience."""
    words = [token for token in tokens if token.kind != "sign"]
    lower = text.strip().lower()
    if foreign(text):
        return ("I only understand English for now; please ask in English.",)
    if not words:
        return ("There is no question in this message.", ABILITIES)
    if _greets(words, lower):
        return (ABILITIES,)
    if _writes(words):
        return (
            "I cannot change, save, compute, send or export anything here: I only read, count and draft. Saving a draft is done with its button.",
            ABILITIES,
        )
    if _edits(words, lower, follows=follows):
        return (
            "There is no draft here that this could change.",
            "Describe the audience first, for example 'users who placed at least 5 orders in the last 90 days', or open a draft or a segment.",
        )
    return None


def analysis(tokens: Sequence[Token]) -> tuple[str, ...] | None:
    """The sentences for a question about causes or the future; None for any other."""
    words = [token for token in tokens if token.kind != "sign"]
    compares = bool(words) and words[0].lower == "compare"
    if not compares and not any(word.stem in _ANALYSIS for word in words[:2]):
        return None
    return ("I cannot explain causes, compare, predict or recommend: I only count what happened.", ABILITIES)


def _greets(words: Sequence[Token], lower: str) -> bool:
    if len(words) <= _GREETING_LENGTH and words[0].lower in _GREETINGS:
        return True
    return bool(_HELP.match(lower)) and "segment" not in lower


def _writes(words: Sequence[Token]) -> bool:
    start = 0
    while start < len(words) - 1 and words[start].lower in {
        "please",
        "can",
        "could",
        "you",
        "now",
        "i",
        "want",
        "to",
        "would",
        "like",
        "need",
        "we",
        "let",
        "us",
        "go",
        "ahead",
        "and",
    }:
        start += 1
    if words[start].stem not in _WRITES or words[start].lower in {"activated", "sent"}:
        return False
    following = words[start + 1 : start + 7]
    return (
        words[start].stem in _SENDS
        or not following
        or any(word.stem in _WRITTEN or word.kind == "name" for word in following)
    )


def _edits(words: Sequence[Token], lower: str, *, follows: bool) -> bool:
    if words[0].stem in _EDITS:
        return True
    people = any(word.stem in PEOPLE - stems("one those") for word in words)
    if people:
        return False
    return lower.startswith(_EDIT_COMMANDS) or (follows and lower.startswith(_EDIT_STARTS))
