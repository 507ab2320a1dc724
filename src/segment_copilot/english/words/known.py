"""The words that the grammar itself knows, for telling a typing error from a name."""

from __future__ import annotations

from functools import cache

from segment_copilot.english.times.dates import MONTHS, WEEKDAYS
from segment_copilot.english.times.phrases import COMPARISONS
from segment_copilot.english.words import lexicon
from segment_copilot.english.words.countries import ALIASES
from segment_copilot.english.words.stems import NUMBER_WORDS, irregular, listed, stem

DIFFERENT = listed(
    "different distinct separate unique various categories category products several expensive cheapest agree agreed agrees accept accepted "
    "accepts interested interest among besides clean cleaning residence"
)
_PLAIN = listed(
    "purchase purchased purchases purchasing buy buys buying order orders ordered ordering convert "
    "converted transaction transactions view views viewed viewing visit visits visited visiting browse "
    "browsed browsing search searched searches refund refunds refunded wishlist wishlists cart checkout "
    "trial trials email emails newsletter newsletters click clicked clicks open opened opens start "
    "started begin complete completed abandon abandoned remove removed cancel cancelled payment payments "
    "support ticket tickets contact contacted review reviews subscribe subscribed unsubscribe "
    "unsubscribed signed signup login logged register registered product products page pages customer "
    "customers user users people person anyone everyone shopper shoppers visitor visitors buyer buyers "
    "member members segment segments audience audiences never always least exactly between without within "
    "during since before after except excluding unless either neither more than less fewer over under "
    "about last past previous days week weeks month months quarter quarters year years hours minutes "
    "today yesterday total spent spend spending revenue average value worth amount country countries city "
    "cities living based located located plan plans tier tiers loyalty event events schema schemas "
    "connector connectors condition conditions definition membership trend volume largest smallest newest "
    "create created build make generate define show list which count times once twice active inactive "
    "recent recently placed added bought happened ingested received integration integrations activation "
    "activations property properties their there these those other others among where while whose would "
    "could should please doing every great group lifetime worth account price priced older younger number "
    "first final again until using chose whether along still later month's signing adding placing making "
    "paying chart charts stop stopped stops watch watched match matched patch batch catch march arch "
    "treat treats create crate beach reach reached teach press dress address stress express class glass "
    "grass price prize pride bride shipped shopped hopped dropped skipped flipped clicked ticked picked "
    "liked linked listed tested rested wasted tasted rated dated stated related treated waited wanted "
    "counted mounted discounted founded rounded sounded ended spender sender render lender gender tender "
    "center enter counter country county court sport report support resort short shirt shirts skirt "
    "skirts shorts shoes shows store stores stone stove score scores share shared spare scare square "
    "screen green great greet street sweet sheet sleet sleep sleeps steep keep keeps hotel motel model "
    "models modal medal metal petal phone phones photo photos chairs chair stair stairs table tables "
    "cable label labels level lever never fever seven eleven books boots roots tools pools rolls polls "
    "calls balls bills mills skills coffee office officer offers other others brother mother father "
    "feature features future nature picture pictures texture lecture money monkey honey donkey power "
    "tower flower lower slower water later gamer games names named flames frames brand brands grand stand "
    "trend trends spend send lend blend laptop laptops desktop tablet camera cameras watches headphones "
    "monitor printer keyboard mouse speaker speakers television tickets"
)


@cache
def known() -> frozenset[str]:
    """Words as they are written."""
    listed = {word for line in lexicon.CONCEPT_WORDS.strip().splitlines() for word in line.split()}
    names = {part for name in ALIASES for part in name.split() if part.isalpha()}
    vague = set(lexicon.VAGUE)
    compared = {part for name in (*COMPARISONS, *DIFFERENT) for part in name.split() if part.isalpha()}
    return frozenset({*compared, *listed, *names, *vague, *NUMBER_WORDS, *MONTHS, *WEEKDAYS, *_PLAIN, *irregular()})


@cache
def known_stems() -> frozenset[str]:
    """The stems of words that the grammar knows in every form."""
    groups = (lexicon.NOISE, lexicon.LIGHT, lexicon.GENERIC, lexicon.PEOPLE, frozenset(lexicon.CONCEPTS))
    return frozenset(stem(word) for word in known()).union(*groups)
