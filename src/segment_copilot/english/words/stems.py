"""Word forms: what makes two words the same word, and words that are two."""

from __future__ import annotations

import re
import unicodedata
from functools import cache


def listed(words: str) -> tuple[str, ...]:
    """Space-separated words, one by one."""
    return tuple(words.split())


NUMBER_WORDS: dict[str, int] = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip

CONTRACTIONS: dict[str, str] = {
    **{f"{verb}n't": f"{verb} not" for verb in listed(
    "have has had do does did is are was were would could should"
)},
    **{f"{verb}nt": f"{verb} not" for verb in listed(
    "have has had do does did is are was were"
)},
    "can't": "can not", "cannot": "can not", "won't": "will not", "ain't": "is not", "who've": "who have",
    "who's": "who is", "what's": "what is", "that's": "that is", "where's": "where is", "how's": "how is",
    "there's": "there is", "they're": "they are", "they've": "they have", "i'm": "i am", "i'd": "i would",
    "i've": "i have", "let's": "let us", "we've": "we have", "who'd": "who had", "they'd": "they had",
    "whats": "what is", "dont": "do not", "it's": "it is", "you're": "you are", "we're": "we are",
}  # fmt: skip

_IRREGULAR: dict[str, str] = {
    "bought": "buy", "spent": "spend", "made": "make", "went": "go", "gone": "go", "came": "come", "got": "get",
    "gotten": "get", "left": "leave", "sent": "send", "paid": "pay", "sold": "sell", "began": "begin",
    "begun": "begin", "saw": "see", "seen": "see", "took": "take", "taken": "take", "gave": "give", "given": "give",
    "did": "do", "done": "do", "does": "do", "doing": "do", "had": "have", "has": "have", "having": "have",
    "was": "be", "were": "be", "is": "be", "are": "be", "been": "be", "being": "be", "am": "be", "put": "put",
    "brought": "bring", "lived": "live", "living": "live", "lives": "live", "people": "person", "persons": "person",
    "women": "woman", "men": "man", "children": "child", "countries": "country", "cities": "city", "chose": "choose",
    "chosen": "choose", "kept": "keep", "lost": "lose", "met": "meet", "wrote": "write", "written": "write",
    "shopped": "buy", "purchasing": "purchase", "tapped": "tap",  "dates": "date", "used": "use",
    "using": "use", "uses": "use", "converted": "convert", "this": "this", "its": "its", "pricing": "pricing",
    "shipping": "shipping", "rating": "rating", "ratings": "rating", "marketing": "marketing", "billing": "billing",
    "additions": "add",
    "addition": "add",
    "removals": "remove",
    "removal": "remove",
    "news": "news", "us": "us", "address": "address", "always": "always", "previous": "previous", "less": "less",
    "business": "business", "access": "access", "success": "success", "process": "process", "during": "during",
    "electronics": "electronics", "status": "status", "plus": "plus", "bonus": "bonus", "morning": "morning",
    "evening": "evening", "nothing": "nothing", "something": "something", "anything": "anything",
    "everything": "everything", "things": "thing", "earrings": "earring", "need": "need", "speed": "speed", "feed": "feed", "red": "red", "bed": "bed",
    "added": "add", "adding": "add", "adds": "add", "is_set": "is_set", "hundred": "hundred", "interested": "interest",
    "ones": "one", "users": "user", "cancelled": "cancel", "canceled": "cancel", "cancelling": "cancel",
    "cancels": "cancel", "cancellation": "cancel", "cancellations": "cancel", "subscription": "subscribe",
    "subscriptions": "subscribe", "registration": "register", "registrations": "register", "conversion": "convert",
    "conversions": "convert", "transactions": "transaction", "installation": "install", "searched": "search",
    "shopping": "shopping", "favourite": "favorite", "favourites": "favorite", "favourited": "favorite",
    "favorited": "favorite", "comparison": "compare", "comparisons": "compare", "payment": "payment",
    "abandonment": "abandon", "abandonments": "abandon", "abandoner": "abandon", "abandoners": "abandon",
    "upgrades": "upgrade", "visits": "visit", "views": "view", "basket": "cart", "trolley": "cart",
    "catalogue": "catalog", "redemption": "redeem", "unsubscribed": "unsubscribe", "e": "e",
    "bus": "bus", "gas": "gas", "yes": "yes", "las": "las", "totaling": "total", "totalling": "total",
    "totaled": "total", "totalled": "total", "worth": "worth", "logging": "log", "series": "series",
    "inactivity": "inactive", "dormancy": "dormant", "activity": "activity", "delivery": "deliver",
    "deliveries": "deliver", "ids": "id", "fewer": "few", "greater": "great", "agreed": "agree", "agrees": "agree", "agreeing": "agree", "ran": "run",
}  # fmt: skip

_DOUBLED = re.compile(r"([bdfgmnprt])\1$")
_SHORT = 3


@cache
def stem(word: str) -> str:
    """The key of an English word form: "placed", "placing", "places" and "place" share one; irregular forms are listed."""
    lower = _IRREGULAR.get(word, word if word.isascii() else _without_accents(word))
    if len(lower) <= _SHORT or not lower.isalpha():
        return lower
    return _without_e(_IRREGULAR.get(_cut(lower), _cut(lower)))


def _without_accents(word: str) -> str:
    """As people type it who have no such key: "málaga" and "malaga" are one."""
    return "".join(part for part in unicodedata.normalize("NFD", word) if not unicodedata.combining(part))


def _without_e(word: str) -> str:
    return word[:-1] if len(word) > _SHORT and word.endswith("e") and not word.endswith("ee") else word


def _cut(word: str) -> str:
    if word in _IRREGULAR.values():
        return word
    if word.endswith(("ies", "ied")) and len(word) > _SHORT + 1:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return _cut_participle(word[:-1]) if word.endswith("ings") else word[:-1]
    return _cut_participle(word)


def _cut_participle(word: str) -> str:
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= _SHORT and re.search(r"[aeiouy]", root):
            return _DOUBLED.sub(r"\1", root)
    return word


def _compounds() -> dict[tuple[str, ...], str]:
    joined = {
        "wish list": "wishlist", "wish - list": "wishlist", "check out": "checkout", "check in": "checkin", "check - in": "checkin", "check ins": "checkin", "check - ins": "checkin", "checked in": "checkin", "check - out": "checkout",
        "sign up": "signup", "sign ups": "signup", "sign - ups": "signup", "sign - up": "signup", "log in": "login", "log - in": "login", "sign in": "login",
        "sign - in": "login", "opt in": "optin", "opt - in": "optin", "opt out": "optout", "opt - out": "optout",
        "web site": "website", "home page": "homepage", "home - page": "homepage", "land page": "landing page",
        "e - mail": "email", "e mail": "email", "save for later": "wishlist", "life time": "lifetime",
        "help desk": "support", "play back": "playback", "come back": "return", "come - back": "return",
        "go back": "return", "free trial": "trial", "life cycle": "lifecycle", "zip code": "zip", "add on": "addon",
        "log out": "logout", "sign out": "logout", "one - time": "onetime", "first - time": "onetime",
        "follow up": "followup", "drop off": "abandon", "uk": "uk",
    }  # fmt: skip
    return {tuple(stem(part) for part in key.split()): value for key, value in joined.items() if " " in key}


COMPOUNDS = _compounds()


def irregular_past(word: str) -> bool:
    """Tell whether it is the past of an irregular verb: "bought", "came"."""
    return word in _PAST


_PAST = frozenset(
    listed(
        "bought spent made went came got left sent paid began saw took gave did had put brought kept lost met wrote ran chose"
    )
)


def irregular() -> frozenset[str]:
    """Every form that is listed with its stem."""
    return frozenset({*_IRREGULAR, *_IRREGULAR.values()})
