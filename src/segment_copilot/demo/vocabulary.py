"""Lists what the demo shop sells, where its people live, and how often each thing is said: plain weighted tables."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from segment_copilot.demo.dice import pool_of


class Country(Struct, frozen=True):
    """An ISO 3166 code, the share of users there in percent, the currency they pay in, and the cities they live in."""

    code: str
    share: float
    currency: str
    cities: tuple[str, ...]


class Product(Struct, frozen=True):
    """Something to buy; the price is in cents of the buyer's currency."""

    id: str
    category: str
    cents: int
    view_payload: str  # of product_viewed
    choice_payload: str  # of cart_add and wishlist_add


COUNTRIES: Final = (
    Country("US", 34, "USD", ("New York", "Los Angeles", "Chicago", "Austin", "Seattle", "Boston", "Denver", "Miami")),
    Country("GB", 12, "GBP", ("London", "Manchester", "Leeds", "Bristol", "Glasgow")),
    Country("DE", 12, "EUR", ("Berlin", "Hamburg", "Munich", "Cologne", "Leipzig")),
    Country("ES", 11, "EUR", ("Madrid", "Barcelona", "Valencia", "Seville", "Bilbao")),
    Country("FR", 9, "EUR", ("Paris", "Lyon", "Marseille", "Toulouse", "Nantes")),
    Country("IT", 6, "EUR", ("Milan", "Rome", "Turin", "Bologna")),
    Country("CA", 4, "USD", ("Toronto", "Montreal", "Vancouver")),
    Country("NL", 4, "EUR", ("Amsterdam", "Rotterdam", "Utrecht")),
    Country("MX", 3, "USD", ("Mexico City", "Guadalajara", "Monterrey")),
    Country("SE", 2, "EUR", ("Stockholm", "Gothenburg", "Malmö")),
    Country("PT", 2, "EUR", ("Lisbon", "Porto")),
    Country("AU", 1, "USD", ("Sydney", "Melbourne")),
)

_CATEGORIES: Final = {  # category: (share of interest, cheapest and dearest price in whole units, what people search)
    "shoes": (24, 45, 180, ("running shoes", "white sneakers", "leather boots", "trail shoes")),
    "jackets": (13, 70, 290, ("rain jacket", "down jacket", "denim jacket")),
    "dresses": (13, 35, 160, ("summer dress", "black dress", "maxi dress")),
    "jeans": (12, 40, 130, ("slim jeans", "high waist jeans")),
    "bags": (11, 30, 240, ("backpack", "tote bag", "weekend bag")),
    "accessories": (12, 9, 75, ("wool scarf", "leather belt", "sunglasses")),
    "sportswear": (10, 20, 110, ("yoga pants", "cycling jersey", "sports bra")),
    "home": (5, 12, 150, ("linen bedding", "scented candle")),
}

CATEGORIES: Final = tuple(_CATEGORIES)
PRODUCTS_PER_CATEGORY: Final = 18


def _products() -> dict[Product, float]:
    """Return every product with its popularity: within a category the first sell best."""
    products: dict[Product, float] = {}
    for shelf, (category, (share, low, high, _)) in enumerate(_CATEGORIES.items()):
        for place in range(PRODUCTS_PER_CATEGORY):
            step = place * 7 % PRODUCTS_PER_CATEGORY / (PRODUCTS_PER_CATEGORY - 1)
            cents = round(low * (high / low) ** step) * 100 - (5 if place % 3 else 0)
            product_id = f"SKU-{shelf + 1}{place + 1:02d}"
            head = f'{{"product_id":"{product_id}"'
            view = f'{head},"category":"{category}","price":{cents / 100}}}'
            products[Product(product_id, category, cents, view, head + "}")] = share / (place + 3)
    return products


PRODUCTS: Final = pool_of(_products())
"""A pool: popular products stand in it more often."""

SEARCHES: Final = tuple(
    f'{{"query":"{query}","results":{results}}}'
    for category, (_, _, _, queries) in _CATEGORIES.items()
    for query in queries
    for results in (0, len(category) * 2, len(query) * 3)
)
"""Payloads of search_performed."""

SOURCES: Final = ("direct", "google", "instagram", "newsletter", "facebook", "tiktok", "bing")
DEVICES: Final = ("mobile", "desktop", "tablet")
PRICING: Final = "/pricing"
PATHS: Final = (
    "/",
    *(f"/collections/{category}" for category in CATEGORIES),
    "/sale",
    "/new-arrivals",
    "/blog/how-to-choose-running-shoes",
    "/blog/capsule-wardrobe",
    "/help/shipping",
    "/about",
)
PATH_WEIGHTS: Final = (30.0, *(share / 2 for share, *_ in _CATEGORIES.values()), 12.0, 9.0, 3.0, 2.0, 3.0, 1.0)


def page_payloads(path: str) -> tuple[str, ...]:
    """Return the payloads of page_viewed for one path; source s and device d are at `s * len(DEVICES) + d`."""
    return tuple(
        f'{{"path":"{path}","utm_source":"{source}","device":"{device}"}}' for source in SOURCES for device in DEVICES
    )


CAMPAIGNS: Final = ("weekly-digest", "new-arrivals", "flash-sale", "back-in-stock", "we-miss-you")
COUPONS: Final = {"WELCOME10": 10, "SPRING15": 15, "VIP20": 20}  # percent off
STAFF_COUPON: Final = "STAFF30"
STAFF_DISCOUNT: Final = 30
REFUND_REASONS: Final = ("wrong_size", "changed_mind", "damaged", "late_delivery")
PRIORITIES: Final = ("low", "normal", "high", "urgent")
PLANS: Final = ("free", "starter", "pro", "business")
INTERESTS: Final = (*CATEGORIES, "sale", "gift", "sustainable")
TIERS: Final = {1: "bronze", 4: "silver", 9: "gold", 18: "platinum"}
"""Orders placed so far, and the loyalty tier that begins there."""

VIP_ORDERS: Final = 12
"""Orders after which a user is tagged vip."""
