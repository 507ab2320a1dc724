"""The words that the grammar itself knows, for telling a typing error from a name."""

from __future__ import annotations

from functools import cache

from segment_copilot.copilot.models.offline import lexicon
from segment_copilot.copilot.models.offline.countries import ALIASES
from segment_copilot.copilot.models.offline.dates import MONTHS, WEEKDAYS
from segment_copilot.copilot.models.offline.stems import NUMBER_WORDS, irregular, stem

_PLAIN = """
purchase purchased purchases purchasing buy buys buying order orders ordered ordering convert converted transaction transactions view views viewed
viewing visit visits visited visiting browse browsed browsing search searched searches refund refunds refunded wishlist wishlists cart checkout
trial trials email emails newsletter newsletters click clicked clicks open opened opens start started begin complete completed abandon abandoned
remove removed cancel cancelled payment payments support ticket tickets contact contacted review reviews subscribe subscribed unsubscribe
unsubscribed signed signup login logged register registered product products page pages customer customers user users people person anyone
everyone shopper shoppers visitor visitors buyer buyers member members segment segments audience audiences never always least exactly between
without within during since before after except excluding unless either neither more than less fewer over under about last past previous days
week weeks month months quarter quarters year years hours minutes today yesterday total spent spend spending revenue average value worth amount
country countries city cities living based located located plan plans tier tiers loyalty event events schema schemas connector connectors condition
conditions definition membership trend volume largest smallest newest create created build make generate define show list which count times once twice
active inactive recent recently placed added bought happened ingested received integration integrations activation activations property properties
their there these those other others among where while whose would could should please doing every great group lifetime worth account price
priced older younger number first final again until using chose whether along still later month's signing adding placing making paying
""".split()


@cache
def known() -> frozenset[str]:
    """Words as they are written."""
    listed = {word for line in lexicon.CONCEPT_WORDS.strip().splitlines() for word in line.split()}
    names = {part for name in ALIASES for part in name.split() if part.isalpha()}
    vague = set(lexicon.VAGUE)
    return frozenset({*listed, *names, *vague, *NUMBER_WORDS, *MONTHS, *WEEKDAYS, *_PLAIN, *irregular()})


@cache
def known_stems() -> frozenset[str]:
    """The stems of words that the grammar knows in every form."""
    groups = (lexicon.NOISE, lexicon.LIGHT, lexicon.GENERIC, lexicon.PEOPLE, frozenset(lexicon.CONCEPTS))
    return frozenset(stem(word) for word in known()).union(*groups)
