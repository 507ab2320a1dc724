"""Tells what words mean here: concepts that share a meaning, words that carry none, and words too vague to draft from."""

from __future__ import annotations

from functools import cache

from segment_copilot.english.words.stems import listed, stem


def stems(words: str) -> frozenset[str]:
    """The stems of space-separated words."""
    return frozenset(stem(word) for word in words.split())


# Concepts: words of one line mean the same when a phrase is linked to an event type. The first names the concept.

CONCEPT_WORDS = """
purchase buy order convert transaction sale
view see look browse visit read watch visitor viewer viewed
cart bag
wishlist favorite bookmark
checkout
search query searcher
refund reimburse chargeback
trial
email mail newsletter
sms text
push notification
click tap clicker
open opener
add put
start begin initiate launch
complete finish succeed success
abandon
remove delete drop
cancel
error bug crash fail failure refuse reject decline bounce
pay payment
ship shipment shipping deliver arrive
support helpdesk
ticket case issue complaint complain
chat talk conversation
contact
create
receive
apply redeem
send
return
review
rating rate
share
download
install
compare
filter
account profile
home homepage
promo promotion campaign offer promotional
catalog
coupon voucher
page screen
product
login signin
logout signout
signup register join onboard
subscribe subscriber
unsubscribe optout
invite refer referral
upgrade
downgrade
renew renewal
video
form survey
call phone
book reservation reserve
session
site website store app application webshop eshop
"""

CONCEPTS: dict[str, str] = {
    stem(word): line.split()[0] for line in CONCEPT_WORDS.strip().splitlines() for word in line.split()
}

COMPOSED: dict[frozenset[str], str] = {
    frozenset({"checkout", "complete"}): "purchase",
    frozenset({"pay", "complete"}): "purchase",
    frozenset({"account", "create"}): "signup",
    frozenset({"user", "create"}): "signup",
    frozenset({"support", "ticket"}): "contact",
    frozenset({"support", "chat"}): "contact",
}
"""An event type whose name holds these concepts also means this one."""

VISITS: tuple[frozenset[str], ...] = (
frozenset({"session"}), frozenset({"page", "view"}), frozenset({"site", "view"}),
    frozenset({"site", "open"}),
)  # fmt: skip
"""Concepts of event types that are a visit as such, best first."""

ACTIONS = frozenset(
    listed(
        "purchase view add start complete abandon remove cancel click open search refund share download "
        "install compare filter login logout signup subscribe unsubscribe invite upgrade downgrade renew pay "
        "ship contact chat rating create receive apply send error"
    )
)
"""Concepts that say what was done; two different ones do not mean the same event."""

REVERSALS = frozenset(
    listed("refund cancel error remove abandon unsubscribe downgrade logout return decline expire reject")
)
"""Concepts that turn a meaning around: never assumed, never ignored."""

LIGHT = stems("place make do perform complete submit have get use take go trigger fire record give happen receive request "
              "conduct run ran hit land arrive access create leave raise file experience encounter finish enter submit fill write reach sign conclude ask")  # fmt: skip
"""Verbs that say little: they help a link, and need not be explained."""

GENERIC = stems("item product thing something anything someone stuff good goods article page site website store app "
                "application event action activity user customer person member account occurrence step online "
                "screen shop webshop web kind type sort ticket single individual list everything")  # fmt: skip
"""Nouns that may stand for anything: they help a link, and need not be explained."""

NOISE = stems(
    "a an the some any of to for at on in into from with by via their its his her my our your this that these those it "
    "them they he she we i you be have do also already currently actually really then there so far as who whom which "
    "whose both all please kindly now me us total overall time ago here if and or but up out off one own anywhere "
    "altogether combined whatsoever either since during through within over under while when where than successfully "
    "because due reason ones basically simply anymore yet still even or so ever very"
) - {"us"}
"""Words that carry nothing by themselves once the phrases they belong to are read."""

PEOPLE = stems("user customer person people contact shopper member visitor client profile account someone anyone everyone everybody anybody "
               "buyer individual resident consumer subscriber folk guest prospect lead audience those one people humans purchaser purchaser "
               "spender opener clicker viewer searcher abandoner")  # fmt: skip
"""Nouns that may be the subject of an audience."""


AGENTS: dict[str, str] = {
    stem("buyer"): "purchase", stem("purchaser"): "purchase", stem("visitor"): "visit", stem("viewer"): "view",
    stem("subscriber"): "subscribe", stem("opener"): "open", stem("clicker"): "click", stem("searcher"): "search",
    stem("abandon"): "abandon", stem("spender"): "spend", stem("converter"): "purchase",
}  # fmt: skip
"""Subjects that say what the user did."""


def agent(token_stem: str, lower: str) -> str | None:
    """Return what a noun says that its bearer did: "buyers", "openers", "starters"; None for other words."""
    if token_stem in AGENTS:
        return AGENTS[token_stem]
    root = concept(stem(lower.removesuffix("s").removesuffix("er")))
    return root if lower.endswith("ers") and root in ACTIONS else None


VAGUE: dict[str, str] = {
    "big": "amount", "high": "amount", "top": "amount", "best": "amount", "heavy": "amount", "whale": "amount",
    "valuable": "amount", "low": "amount", "wealthy": "amount", "premium": "amount", "great": "amount",
    "loyal": "count", "frequent": "count", "frequently": "count", "regular": "count", "regularly": "count",
    "engaged": "count", "often": "count", "several": "count", "many": "count", "power": "count", "active": "count",
    "few": "count", "regulars": "count", "lots": "count", "lot": "count", "repeatedly": "count", "rarely": "count", "avid": "count",
    "quiet": "recency", "lapsed": "recency", "dormant": "recency", "inactive": "recency", "recently": "recency",
    "recent": "recency", "just": "recency", "churned": "recency", "sleeping": "recency", "old": "recency", "new": "recency",
    "cold": "recency", "lately": "recency", "stale": "recency", "silent": "recency", "disengaged": "recency",
    "slipping": "recency", "fresh": "recency", "long": "recency", "while": "recency",
}  # fmt: skip
"""Words that need a threshold, and of what."""


@cache
def concept(word: str) -> str:
    """The concept of a stem; the stem itself when it has none."""
    return CONCEPTS.get(word, word)


@cache
def weight(key: str) -> float:
    """Return how much a concept or stem says about which event type is meant."""
    if key in NOISE:
        return 0.0
    if key in LIGHT or key in {"complete", "create", "receive", "user", "event"}:
        return 0.2
    if key == "product":
        return 0.6
    if key in {"page", "site"} or key in GENERIC:
        return 0.4
    return 0.7 if key in ACTIONS and key not in {"purchase", "refund", "search"} else 1.0
