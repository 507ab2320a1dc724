"""Makes the users of the demo shop: habits, home, and what is known of them when they are first identified.

Instants are whole milliseconds since the beginning of the shop's 180 days.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from segment_copilot.demo.dice import Dice, bell_pool, exponential_pool, pool_of
from segment_copilot.demo.vocabulary import COUNTRIES, DEVICES, INTERESTS, TIERS, Country

SECOND: Final = 1_000
HOUR: Final = 3_600 * SECOND
DAY: Final = 24 * HOUR
DAYS: Final = 180
SPAN: Final = DAYS * DAY

KNOWN_BEFORE: Final = 0.5  # share of known users who are older than the 180 days: an import of the first hours
GUESTS: Final = 0.12  # never identified
SILENT: Final = 0.08  # identified, and never seen again: newsletter forms, lists taken over from a shop floor
STAFF_EVERY: Final = 400  # one user in so many works here


class Habits(Struct, frozen=True):
    """Describes how one kind of user behaves: means in days, and the probability of each step given the one before."""

    name: str
    share: float
    gap_days: float  # between visits
    life_days: float  # until the last visit
    views: int  # most products looked at in a visit
    to_cart: float  # per product viewed
    to_checkout: float  # per visit with a cart
    to_order: float  # per checkout
    past_orders: int  # most orders before the 180 days


KINDS: Final = (
    Habits("passer-by", 38, 6, 5, 3, 0.03, 0.4, 0.5, 0),
    Habits("browser", 31, 16, 40, 3, 0.07, 0.45, 0.65, 1),
    Habits("buyer", 22, 15, 100, 3, 0.19, 0.65, 0.8, 3),
    Habits("regular", 7.2, 8, 130, 4, 0.26, 0.75, 0.86, 8),
    Habits("devotee", 1.8, 4, 220, 4, 0.3, 0.82, 0.9, 20),
)
COLLEAGUE: Final = Habits("colleague", 0, 3, 900, 4, 0.06, 0.5, 0.6, 4)

_KINDS: Final = pool_of({kind: kind.share for kind in KINDS})
_HOMES: Final = pool_of({country: country.share for country in COUNTRIES})
_DEVICES: Final = pool_of(dict(zip(range(len(DEVICES)), (60, 34, 6), strict=True)))
_PLANS: Final = pool_of({"free": 80, "starter": 12, "pro": 6, "business": 2})
_AGES: Final = bell_pool(18, 69)
_LIVES: Final = {kind: exponential_pool(kind.life_days * DAY) for kind in (*KINDS, COLLEAGUE)}
_ABSENCE: Final = {"passer-by": 1.0, "browser": 1.0, "buyer": 0.7, "regular": 0.2, "devotee": 0.1, "colleague": 0.0}
_SIGNED_UP_AGO: Final = exponential_pool(400 * DAY)


class Person:
    """A user while the generator walks through their time; *orders*, *tags* and *trial* change on the way."""

    __slots__ = (
        "arrives", "city", "comes", "country", "device", "habits", "id", "known", "leaves",
        "old", "orders", "silent", "staff", "subscribed", "tags", "trial",
    )  # fmt: skip

    def __init__(self, number: int, *, dice: Dice) -> None:
        share = dice.share
        self.staff = number % STAFF_EVERY == STAFF_EVERY // 2
        self.habits = COLLEAGUE if self.staff else dice.pick(_KINDS)
        self.known = self.staff or not dice.happens(GUESTS)
        self.silent = self.known and not self.staff and dice.happens(SILENT / (1 - GUESTS))
        self.id = f"user_{number + 1:05d}" if self.known else f"anon_{number + 1:05d}{dice.bits(16):04x}"
        self.country: Country = dice.pick(_HOMES)
        self.city = self.country.cities[int(len(self.country.cities) * share() ** 1.6)]
        self.device = dice.pick(_DEVICES)
        # newer users come at a slowly growing rate
        self.old = self.staff or (self.known and dice.happens(KNOWN_BEFORE))
        self.arrives = dice.bits(24) if self.old else int((SPAN - HOUR) * share() ** 0.85)
        self.comes = self.arrives if not self.old else int(SPAN * _ABSENCE[self.habits.name] * share()) + HOUR
        self.leaves = self.comes + dice.pick(_LIVES[self.habits])
        self.subscribed = self.known and dice.happens(0.75 if self.silent else 0.62)
        self.orders = int(share() * (self.habits.past_orders + 1)) if self.old else 0
        self.tags = tuple(_tags(self, dice=dice))
        self.trial = False


def people(count: int, *, dice: Dice) -> Iterator[Person]:
    """Yield *count* users, in the order of their numbers."""
    for number in range(count):
        yield Person(number, dice=dice)


def first_traits(person: Person, *, dice: Dice) -> dict[str, Any]:
    """Return what a user's first identify says. `signup_date` is an instant in milliseconds; a date is made of it later."""
    old = person.old
    traits: dict[str, Any] = {
        "country": person.country.code,
        "city": person.city,
        "plan": "business" if person.staff else dice.pick(_PLANS) if old else "free",
        "email_opt_in": person.subscribed,
        "signup_date": person.arrives - (dice.pick(_SIGNED_UP_AGO) if old else 0),
    }
    if dice.happens(0.82):  # not everyone tells their age
        traits["age"] = dice.pick(_AGES)
    if person.tags:
        traits["tags"] = person.tags
    if tier := tier_of(person.orders):
        traits["loyalty_tier"] = tier
    return traits


def tier_of(orders: int) -> str | None:
    """Return the loyalty tier after so many orders; none before the first."""
    reached = [tier for least, tier in TIERS.items() if orders >= least]
    return reached[-1] if reached else None


def _tags(person: Person, *, dice: Dice) -> Iterator[str]:
    if person.staff:
        yield "staff"
    if dice.happens(0.4):
        first = dice.bits(16) % len(INTERESTS)
        yield INTERESTS[first]
        if dice.happens(0.3):
            yield INTERESTS[(first + 3) % len(INTERESTS)]
