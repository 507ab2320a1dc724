"""Makes what the users of the demo shop do: visits with funnels, the orders that come of them, and what follows.

Instants are whole milliseconds since the beginning of the shop's 180 days; the shop's own clock gives the days and
weeks their rhythm and ends on a Wednesday at 18:00.
"""

from __future__ import annotations

from typing import Any, Final

from segment_copilot.demo.dice import Dice, exponential_pool, pool_of
from segment_copilot.demo.people import COLLEAGUE, DAY, HOUR, KINDS, SECOND, SPAN, Person, first_traits, tier_of
from segment_copilot.demo.vocabulary import (
    CAMPAIGNS,
    COUPONS,
    DEVICES,
    PATH_WEIGHTS,
    PATHS,
    PLANS,
    PRICING,
    PRIORITIES,
    PRODUCTS,
    REFUND_REASONS,
    SEARCHES,
    SOURCES,
    STAFF_COUPON,
    STAFF_DISCOUNT,
    VIP_ORDERS,
    Product,
    page_payloads,
)

EventRow = tuple[int, str, str, str]
"""(milliseconds, event type, user id, payload as JSON text)."""

IdentifyRow = tuple[int, str, dict[str, Any]]
"""(milliseconds, user id, traits)."""

CLOCK_AT_START: Final = 18 * HOUR  # a Friday; 180 days later it is Wednesday
FIRST_WEEKDAY: Final = 4
STAYS_AWAY: Final = (0.05, 0.08, 0.1, 0.06, 0.12, 0.24, 0.0)  # Monday to Sunday: visits that do not take place
HOURS: Final = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 14, 12, 10, 10, 11, 12, 14, 17, 19, 18, 12, 5)
DIRECT: Final = SOURCES.index("direct")
NEWSLETTER: Final = SOURCES.index("newsletter")

_SECONDS: Final = pool_of(  # of the shop's day
    {hour * 3600 + quarter * 900: float(weight) for hour, weight in enumerate(HOURS) for quarter in range(4)}
)
_GAPS: Final = {kind: exponential_pool(kind.gap_days * DAY) for kind in (*KINDS, COLLEAGUE)}
_PAUSES: Final = tuple(4 * SECOND + pause for pause in exponential_pool(45 * SECOND))  # between two steps of a visit
_SOURCES: Final = pool_of(dict(zip(range(len(SOURCES)), (34, 27, 12, 11, 8, 5, 3), strict=True)))
_PAGES: Final = pool_of({page_payloads(path): weight for path, weight in zip(PATHS, PATH_WEIGHTS, strict=True)})
_PRICING: Final = page_payloads(PRICING)
_CART_PAGE: Final = page_payloads("/cart")
_COUPONS: Final = tuple(COUPONS.items())
_CAMPAIGNS: Final = tuple(f'{{"campaign":"{campaign}"}}' for campaign in CAMPAIGNS)
_WEEKS: Final = exponential_pool(21 * DAY)  # between two emails that are opened without a visit
_LATER: Final = exponential_pool(6 * DAY)


class Diary:
    """Records everything that happens, one user after another; *events* and *identifies* are sorted by nobody yet."""

    def __init__(self, dice: Dice) -> None:
        self.events: list[EventRow] = []
        self.identifies: list[IdentifyRow] = []
        self._dice = dice

    def live(self, person: Person) -> None:
        """Write the whole 180 days of one user."""
        if person.known:
            self.identifies.append((person.arrives, person.id, first_traits(person, dice=self._dice)))
        if person.subscribed:
            self._read_mail(person)
        if person.silent:
            return
        dice = self._dice
        self._visit(person, person.comes)
        gaps, at = _GAPS[person.habits], person.comes
        while (at := at + HOUR + dice.pick(gaps)) <= person.leaves and at < SPAN:
            day = (at + CLOCK_AT_START) // DAY
            begins = day * DAY - CLOCK_AT_START + dice.pick(_SECONDS) * SECOND + dice.bits(20) % (900 * SECOND)
            if person.comes < begins < SPAN and not dice.happens(STAYS_AWAY[(FIRST_WEEKDAY + day) % 7]):
                self._visit(person, begins)
        if person.known:
            self._move(person)

    def _visit(self, person: Person, at: int) -> None:
        dice, add, user = self._dice, self.events.append, person.id
        source = self._arrive(person, at)
        device = person.device if dice.happens(0.85) else dice.bits(8) % len(DEVICES)
        look = source * len(DEVICES) + device
        add((at, "page_viewed", user, dice.pick(_PAGES)[look]))
        for _ in range(dice.bits(2)):
            at += dice.pick(_PAUSES)
            add((at, "page_viewed", user, dice.pick(_PAGES)[look]))
        if dice.happens(0.05):
            at += dice.pick(_PAUSES)
            add((at, "page_viewed", user, _PRICING[look]))
            self._consider_trial(person, at)
        if dice.happens(0.2):
            at += dice.pick(_PAUSES)
            add((at, "search_performed", user, dice.one_of(SEARCHES)))
        at, cart = self._look_around(person, at)
        if cart:
            at += dice.pick(_PAUSES)
            add((at, "page_viewed", user, _CART_PAGE[look]))
            if dice.happens(person.habits.to_checkout):
                self._check_out(person, at + dice.pick(_PAUSES), cart=cart)
        elif dice.happens(0.002):
            self._ask_for_help(person, at)

    def _arrive(self, person: Person, at: int) -> int:
        """Return the index of where a visit comes from; who comes from the newsletter has opened it first."""
        source = self._dice.pick(_SOURCES)
        if source != NEWSLETTER:
            return source
        if not person.subscribed or at < HOUR:
            return DIRECT
        campaign = self._dice.one_of(_CAMPAIGNS)
        self.events.append((at - 40 * SECOND, "email_opened", person.id, campaign))
        self.events.append((at - 9 * SECOND, "email_clicked", person.id, campaign))
        return source

    def _look_around(self, person: Person, at: int) -> tuple[int, list[Product]]:
        """Look at products, wish for some and put some into the cart; return when it ended, and the cart."""
        dice, add, user = self._dice, self.events.append, person.id
        cart: list[Product] = []
        for _ in range(dice.bits(16) % (person.habits.views + 1)):
            product = dice.pick(PRODUCTS)
            at += dice.pick(_PAUSES)
            add((at, "product_viewed", user, product.view_payload))
            if dice.happens(0.05):
                at += dice.pick(_PAUSES)
                add((at, "wishlist_add", user, product.choice_payload))
            if dice.happens(person.habits.to_cart):
                at += dice.pick(_PAUSES)
                add((at, "cart_add", user, product.choice_payload))
                cart.append(product)
        return at, cart

    def _check_out(self, person: Person, at: int, *, cart: list[Product]) -> None:
        dice = self._dice
        pieces = [1 + (dice.bits(4) == 0) for _ in cart]
        cents = sum(product.cents * count for product, count in zip(cart, pieces, strict=True))
        self.events.append((at, "checkout_started", person.id, f'{{"value":{cents / 100}}}'))
        if not dice.happens(person.habits.to_order):
            return
        at += dice.pick(_PAUSES)
        coupon, discount = self._coupon(person)
        cents -= cents * discount // 100
        money = f'"total":{cents / 100},"currency":"{person.country.currency}"'
        goods = f'"items":{sum(pieces)},"category":"{cart[0].category}"'
        self.events.append((at, "order_placed", person.id, f"{{{money},{goods}{coupon}}}"))
        if at < SPAN:
            self._follow_up(person, at, cents=cents)

    def _coupon(self, person: Person) -> tuple[str, int]:
        """Return the payload's piece of a coupon and its percent off; most orders have none."""
        if person.staff:
            return f',"coupon":"{STAFF_COUPON}"', STAFF_DISCOUNT
        if not self._dice.happens(0.18):
            return "", 0
        name, discount = self._dice.one_of(_COUPONS)
        return f',"coupon":"{name}"', discount

    def _follow_up(self, person: Person, at: int, *, cents: int) -> None:
        """Record what an order leads to: a better tier, sometimes a refund or a question."""
        dice = self._dice
        person.orders += 1
        if person.known:
            if (tier := tier_of(person.orders)) != tier_of(person.orders - 1):
                self.identifies.append((at + SECOND, person.id, {"loyalty_tier": tier}))
            if person.orders == VIP_ORDERS:
                person.tags = (*person.tags, "vip")
                self.identifies.append((at + 2 * SECOND, person.id, {"tags": person.tags}))
        if dice.happens(0.05):
            back = cents if dice.bits(1) else cents // 2
            reason = dice.one_of(REFUND_REASONS)
            payload = f'{{"total":{back / 100},"reason":"{reason}"}}'
            self.events.append((at + 2 * DAY + dice.pick(_LATER), "order_refunded", person.id, payload))
        if dice.happens(0.03):
            self._ask_for_help(person, at + dice.pick(_LATER))

    def _ask_for_help(self, person: Person, at: int) -> None:
        priority = PRIORITIES[min(self._dice.bits(2), self._dice.bits(2))]
        self.events.append((at + HOUR, "support_ticket_opened", person.id, f'{{"priority":"{priority}"}}'))

    def _consider_trial(self, person: Person, at: int) -> None:
        """Start the one trial of a member now and then, after a look at the prices; a third of the trials are kept."""
        dice = self._dice
        if person.trial or not person.known or not dice.happens(0.4):
            return
        person.trial = True
        plan = PLANS[1 + min(dice.bits(1) + dice.bits(1), 2)]
        self.events.append((at + 30 * SECOND, "trial_started", person.id, f'{{"plan":"{plan}"}}'))
        if dice.happens(0.35):
            self.identifies.append((at + 14 * DAY, person.id, {"plan": plan}))

    def _read_mail(self, person: Person) -> None:
        """Open emails without a visit, at times long after the last one; now and then somebody has had enough."""
        dice, at = self._dice, person.arrives
        reads_until = person.leaves + 10 * DAY
        while (at := at + DAY + dice.pick(_WEEKS)) < min(reads_until, SPAN):
            campaign = dice.one_of(_CAMPAIGNS)
            self.events.append((at, "email_opened", person.id, campaign))
        if dice.happens(0.09):
            self.identifies.append((at, person.id, {"email_opt_in": False}))

    def _move(self, person: Person) -> None:
        """Let a few users move house, and fewer ask the shop to forget their age."""
        dice = self._dice
        at = person.arrives + DAY + int((SPAN - person.arrives) * dice.share())
        if dice.happens(0.03):
            city = dice.one_of(person.country.cities)
            self.identifies.append((at, person.id, {"city": city}))
        if dice.happens(0.005):
            self.identifies.append((at, person.id, {"age": None}))
