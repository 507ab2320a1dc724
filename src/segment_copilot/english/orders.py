"""Takes out of a request what it asks of the answer: "… and tell me it is saved"."""

from __future__ import annotations

import re
from functools import cache

from segment_copilot.english.questions.intents import phrases_of


@cache
def _orders() -> re.Pattern[str]:
    """Return what asks something of the answer, up to the end of its sentence: "and tell me it is saved"."""
    starts, verbs, objects = ("|".join(phrases_of(f"answer_{kind}")) for kind in ("starts", "orders", "objects"))
    order = rf"(?:(?:{verbs})\s+(?:{objects})\b|(?:{starts})\b)"
    joint = r"(?:and|then|also|please|finally|but|now)"
    return re.compile(
        rf"(?:[.!;,]|\s{joint})\s+(?:{joint}\s+)*{order}.*?(?:[.!?;](?=\s|$)|$)", re.IGNORECASE | re.DOTALL
    )


@cache
def _besides() -> re.Pattern[str]:
    """Return what else is asked in the order to make a segment: "create and save"."""
    makes, besides = ("|".join(phrases_of(f"answer_{kind}")) for kind in ("making", "beside"))
    return re.compile(rf"^((?:\W*\w+\W+){{0,4}}?(?:{makes}))\s*(?:,|and|&)\s*(?:{besides})\b", re.IGNORECASE)


def without_orders(text: str) -> tuple[str, bool]:
    """Return a request without what it asks of the answer, and whether it asks anything; what is nothing else stays."""
    making = _besides().sub(r"\1", text)
    kept = _orders().sub(" ", making).strip(" \n—–-,;")
    return (kept, True) if kept and (making != text or _orders().search(text)) else (text, False)
