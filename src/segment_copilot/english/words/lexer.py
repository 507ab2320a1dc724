"""Text to tokens: words with their stems, numbers, amounts, dates, paths, quoted text, identifiers and signs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from msgspec import Struct

from segment_copilot.english.words.stems import COMPOUNDS, CONTRACTIONS, NUMBER_WORDS, stem

Kind = Literal["word", "number", "money", "percent", "date", "path", "quoted", "name", "sign"]


class Token(Struct, frozen=True):
    """One token. *text* is as written, *lower* its lower case, *stem* the key by which words compare.

    *value* is the number of a number, amount or percentage; *currency* the sign or word that came with an amount.
    """

    kind: Kind
    text: str
    lower: str
    stem: str
    value: float = 0
    currency: str = ""


_TOKEN = re.compile(
    r"""
      (?P<quoted>"[^"]*"|“[^”]*”|«[^»]*»|‘[^’]*’(?!\w)|(?<!\w)'[^']*'(?!\w)|`[^`]*`)
    | (?P<url>https?://[^\s,;]+)
    | (?P<code>(?-i:[A-Z][A-Z0-9]*-(?=[A-Z0-9-]*\d)[A-Z0-9]+(?:-[A-Z0-9]+)*)(?![\w]))
    | (?P<path>(?<![\w/])/(?:[\w.~%*-]+(?:/[\w.~%*-]*)*/?)?(?![\w/]))
    | (?P<date>(?<![\w-])\d{4}-\d{2}(?:-\d{2})?(?![\w-]))
    | (?P<money>(?:us\$|[$€£¥])\s?\d+(?:,\d{3})*(?:\.\d+)?[km]?(?!\w)|\d+(?:,\d{3})*(?:\.\d+)?k?\s?[€£¥$])
    | (?P<number>(?<![A-Za-z_])\d+(?:,\d{3})*(?:\.\d+)?k?(?=$|[^\w]|(?:st|nd|rd|th|x|d|h|w|mo|m|y|hrs?|days?|mins?|yrs?)\b))
    | (?P<suffix>(?<=\d)(?:st|nd|rd|th|x|d|h|w|mo|m|y|hrs?|days?|mins?|yrs?)\b)
    | (?P<name>[A-Za-z][A-Za-z0-9]*(?:[_][A-Za-z0-9]+|\.[A-Za-z][A-Za-z0-9]*)+|(?-i:[a-z]+[A-Z][A-Za-z0-9]*))
    | (?P<word>[^\W\d_]+\d\w*|[^\W\d_]+(?:['’][^\W\d_]+)*|\w+)
    | (?P<sign>>=|<=|=>|=<|!=|<>|==|[<>=≥≤≠%+&,;:.!?()\[\]{}/|–—→-])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DASH = re.compile(r"(?<!\d)\s+[-–—]+\s+|\s+[-–—]+\s+(?!\d)")
"""Between spaces a dash parts a sentence, as a comma does; in a word or between numbers it joins."""
_CAMEL = re.compile(r"^[a-z]+[A-Z]")
_CURRENCY_WORDS = {
    "dollar": "$", "dollars": "$", "usd": "$", "bucks": "$", "euro": "€", "euros": "€", "eur": "€",
    "pound": "£", "pounds": "£", "gbp": "£", "yen": "¥", "jpy": "¥", "chf": "CHF", "cad": "CAD", "aud": "AUD",
}  # fmt: skip
_TENS, _DIGITS = range(20, 100, 10), range(1, 10)
_MULTIPLIERS = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "k": 1_000, "dozen": 12, "grand": 1_000}

_COUNTED = 10**15
"""Beyond it a number is counted no further: "a million million million"."""


def read(text: str) -> tuple[Token, ...]:
    """The tokens of *text*, contractions opened, number words counted, two-word nouns such as "wish list" joined."""
    plain = _DASH.sub(" — ", text.replace("\u2019", "'"))
    tokens = [token for match in _TOKEN.finditer(plain) for token in _tokens_of(match)]
    return tuple(_with_currencies(_with_numbers(_with_compounds(tokens))))


def word(text: str) -> Token:
    """A word token, as `read` would make it."""
    return Token("word", text, text.lower(), stem(text.lower()))


def written(tokens: Sequence[Token]) -> str:
    """The tokens as text again, for naming a phrase in an answer."""
    text = " ".join(token.text for token in tokens)
    tight = re.sub(r"\s+([-/–])\s+", r"\1", re.sub(r"\s+([,;:.!?)%+])", r"\1", text))
    return tight.replace("( ", "(").strip(" ,;:.!?")


def depth(tokens: Sequence[Token]) -> int:
    """Return how many parentheses are open where most are."""
    opened = accumulate({"(": 1, ")": -1}.get(token.lower, 0) for token in tokens)
    return max(opened, default=0)


def _tokens_of(match: re.Match[str]) -> list[Token]:
    text = match.group()
    match match.lastgroup:
        case "quoted":
            return [Token("quoted", text[1:-1], text[1:-1].lower(), text[1:-1].lower())]
        case "money":
            return [_money(text)]
        case "number":
            return [_number(text)]
        case "path" | "url":
            return [Token("path", text, text.lower(), text.lower())] if text != "/" else [_sign(text)]
        case "code":
            return [Token("name", text, text.lower(), text.lower())]
        case "date":
            return [Token("date", text, text, text)]
        case "sign":
            return [_sign(text)]
        case "name" if "_" in text or "." in text or _CAMEL.match(text):
            return [Token("name", text, text.lower(), text.lower())]
        case _:
            return _words(text)


def _words(text: str) -> list[Token]:
    lower = text.lower()
    if lower in CONTRACTIONS:
        return [word(part) for part in CONTRACTIONS[lower].split()]
    return [word(text.removesuffix("'s").removesuffix("'S").strip("'"))]


def _sign(text: str) -> Token:
    same = {"≥": ">=", "=>": ">=", "≤": "<=", "=<": "<=", "≠": "!=", "<>": "!=", "==": "=", "–": "-"}
    lower = same.get(text, text)
    return Token("sign", text, lower, lower)


def _plain(text: str) -> float:
    digits = text.lower().replace(",", "").strip()
    scale = 1
    if digits.endswith("k"):
        digits, scale = digits[:-1], 1_000
    elif digits.endswith("m"):
        digits, scale = digits[:-1], 1_000_000
    number = float(digits) * scale
    return int(number) if number.is_integer() else number


def _number(text: str) -> Token:
    return Token("number", text, text.lower(), text.lower(), value=_plain(text))


def _money(text: str) -> Token:
    sign = re.sub(r"[\d.,\skKmM]", "", text).lower().replace("us$", "$")
    digits = re.sub(r"[^\d.,kKmM]", "", text)
    return Token("money", text, text.lower(), text.lower(), value=_plain(digits), currency=sign)


def _with_compounds(tokens: list[Token]) -> list[Token]:
    """Join neighbours such as "wish list", "sign-up" or "saved for later"."""
    joined: list[Token] = []
    at = 0
    while at < len(tokens):
        token, length = _compound(tokens, at)
        joined.append(token)
        at += length
    return joined


def _compound(tokens: list[Token], at: int) -> tuple[Token, int]:
    if tokens[at].kind == "word":
        for length in (4, 3, 2):
            key = tuple(token.stem for token in tokens[at : at + length])
            if len(key) == length and key in COMPOUNDS:
                following = tokens[at + length].lower if at + length < len(tokens) else ""
                if COMPOUNDS[key] == "checkout" and following in {"the", "a", "an", "our", "this", "some", "any"}:
                    return word("viewed"), length
                text = " ".join(token.text for token in tokens[at : at + length]).replace(" - ", "-")
                return Token("word", text, COMPOUNDS[key], stem(COMPOUNDS[key])), length
    return tokens[at], 1


def _with_numbers(tokens: list[Token]) -> list[Token]:
    """Number words become numbers: "three", "twenty five", "a hundred", "half a dozen", "2 thousand"."""
    counted: list[Token] = []
    at = 0
    while at < len(tokens):
        value, length = _number_words(tokens, at)
        if length:
            text = " ".join(token.text for token in tokens[at : at + length])
            money = tokens[at].kind == "money"
            counted.append(
                Token(
                    "money" if money else "number",
                    text,
                    text.lower(),
                    text.lower(),
                    value=value,
                    currency=tokens[at].currency,
                )
            )
        else:
            counted.append(tokens[at])
        at += length or 1
    return counted


def _number_words(tokens: list[Token], at: int) -> tuple[float, int]:
    """The value of the number that starts at *at* and how many tokens it takes; 0 tokens when there is none."""
    value, length = _leading_number(tokens, at)
    if not length:
        return 0, 0
    while at + length < len(tokens) and tokens[at + length].lower in _MULTIPLIERS and value < _COUNTED:
        value *= _MULTIPLIERS[tokens[at + length].lower]
        length += 1
    more = length + (1 if at + length < len(tokens) and tokens[at + length].lower == "and" else 0)
    if (
        length > 1
        and value >= _MULTIPLIERS["hundred"]
        and at + more < len(tokens)
        and tokens[at + more].lower in NUMBER_WORDS
    ):
        rest, size = _leading_number(tokens, at + more)
        value, length = value + rest, more + size
    whole = int(value) if float(value).is_integer() else value
    return whole, length if length > 1 or tokens[at].kind == "word" else 0


def _leading_number(tokens: list[Token], at: int) -> tuple[float, int]:
    token = tokens[at]
    following = tokens[at + 1 : at + 4]
    lowers = [item.lower for item in following]
    if token.kind in {"number", "money"}:
        return token.value, 1
    if token.lower == "half" and lowers[:2] == ["a", "dozen"]:
        return 0.5, 2
    if token.lower in {"a", "an"} and lowers[:1] and lowers[0] in _MULTIPLIERS and lowers[0] != "k":
        return 1, 1
    if token.lower not in NUMBER_WORDS:
        return 0, 0
    value = NUMBER_WORDS[token.lower]
    skip = 2 if lowers[:1] == ["-"] else 1
    unit = tokens[at + skip].lower if at + skip < len(tokens) else ""
    if value in _TENS and NUMBER_WORDS.get(unit, 0) in _DIGITS:
        return value + NUMBER_WORDS[unit], skip + 1
    return value, 1


def _with_currencies(tokens: list[Token]) -> list[Token]:
    """Join "500 dollars" and "EUR 500" to amounts."""
    joined: list[Token] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.kind in {"number", "money"} and after and after.lower in _CURRENCY_WORDS:
            joined.append(_amount(token, token, after))
            at += 2
        elif token.lower in _CURRENCY_WORDS and after and after.kind == "number":
            joined.append(_amount(after, token, token))
            at += 2
        else:
            joined.append(token)
            at += 1
    return joined


def _amount(number: Token, first: Token, currency: Token) -> Token:
    text = f"{number.text} {currency.text}" if first is number else f"{currency.text} {number.text}"
    sign = number.currency or _CURRENCY_WORDS[currency.lower]
    return Token("money", text, text.lower(), text.lower(), value=number.value, currency=sign)
