"""Two tenants' catalogs, as the discovery reads them: the demo shop, and a shop with other names and no properties."""

from __future__ import annotations

from datetime import UTC, datetime

from segment_copilot.language.catalog import Catalog, EventType, Property, Scalar, SegmentName
from segment_copilot.language.operators import ValueType

AS_OF = datetime(2026, 6, 10, 15, 30, tzinfo=UTC)  # a Wednesday


def prop(path: str, kind: ValueType = "string", *samples: Scalar, description: str = "") -> Property:
    return Property(path, (kind,), kind, description, samples)


def event(name: str, description: str = "", *properties: Property, count: int = 1000) -> EventType:
    return EventType(name, description, count, AS_OF, {item.path: item for item in properties})


CATEGORIES = ("shoes", "jackets", "dresses", "jeans", "bags", "accessories", "sportswear", "home")
QUERIES = ("running shoes", "white sneakers", "leather boots", "trail shoes", "rain jacket", "summer dress", "backpack")
_PRODUCTS = tuple(f"SKU-{shelf}{place:02d}" for shelf in range(1, 4) for place in range(1, 17))[:50]
_PRODUCT = prop("product_id", "string", *_PRODUCTS, "SKU-401", "SKU-402")

DEMO = Catalog(
    timezone="Europe/Madrid",
    event_types={
        item.name: item
        for item in (
            event("page_viewed", "A page of the shop was opened; every visit has at least one",
                  prop("path", "string", "/", *(f"/collections/{name}" for name in CATEGORIES), "/pricing", "/sale", "/new-arrivals", "/help/shipping", "/about"),
                  prop("utm_source", "string", "direct", "google", "instagram", "newsletter", "facebook", "tiktok", "bing"),
                  prop("device", "string", "mobile", "desktop", "tablet"), count=190_000),
            event("search_performed", "Something was searched in the shop", prop("query", "string", *QUERIES), prop("results", "number", 0, 10, 39), count=30_000),
            event("product_viewed", "The page of a product was opened", _PRODUCT, prop("category", "string", *CATEGORIES), prop("price", "number", 45, 89.95), count=90_000),
            event("wishlist_add", "A product was put on the wishlist", _PRODUCT, count=9_000),
            event("cart_add", "A product was put into the cart", _PRODUCT, count=25_000),
            event("checkout_started", "The checkout was opened with something in the cart", prop("value", "number", 120.5), count=14_000),
            event("order_placed", "A purchase: an order was placed and paid", prop("total", "number", 99.5, 240), prop("currency", "string", "USD", "EUR", "GBP"),
                  prop("items", "number", 1, 2, 3), prop("category", "string", *CATEGORIES), prop("coupon", "string", "WELCOME10", "SPRING15", "VIP20", "STAFF30"), count=10_000),
            event("order_refunded", "Money of an order was paid back, in full or in part", prop("total", "number", 40), prop("reason", "string", "wrong_size", "changed_mind", "damaged", "late_delivery"), count=600),
            event("email_opened", "A marketing email was opened", prop("campaign", "string", "weekly-digest", "new-arrivals", "flash-sale", "back-in-stock", "we-miss-you"), count=20_000),
            event("email_clicked", "A link in a marketing email was followed", prop("campaign", "string", "weekly-digest", "new-arrivals", "flash-sale", "back-in-stock", "we-miss-you"), count=6_000),
            event("trial_started", "A free trial of a membership plan was started", prop("plan", "string", "starter", "pro", "business"), count=1_200),
            event("support_ticket_opened", "The customer service was asked for help", prop("priority", "string", "low", "normal", "high", "urgent"), count=1_500),
        )
    },
    traits={
        item.path: item
        for item in (
            prop("country", "string", "US", "GB", "DE", "ES", "FR", "IT", "CA", "NL", "MX", "SE", "PT", "AU"),
            prop("city", "string", "New York", "Los Angeles", "Chicago", "London", "Berlin", "Madrid", "Barcelona", "Paris", "Toronto", "Mexico City", "Lisbon"),
            prop("plan", "string", "free", "starter", "pro", "business"),
            prop("loyalty_tier", "string", "bronze", "silver", "gold", "platinum"),
            prop("email_opt_in", "boolean", True, False),
            prop("age", "number", 18, 25, 34, 61),
            prop("tags", "list", "staff", "vip", "shoes", "sale", "gift", "sustainable"),
            Property("signup_date", ("string",), samples=("2026-01-05", "2025-11-30")),
        )
    },
    segments={
        number: SegmentName(number, name)
        for number, name in enumerate(
            ("Staff", "Newsletter", "High LTV", "VIP Buyers", "Churn Risk", "High-Value Churners", "Cart Abandoners", "Pricing Page Visitors", "Trial Users", "Spain", "Coupon Shoppers", "Quick Deciders"), 1
        )
    },
)  # fmt: skip

ECOM = Catalog(
    event_types={
        name: EventType(name, "", count, datetime(2024, 7, 1, tzinfo=UTC))
        for name, count in {
            "account_page": 659, "add_to_cart": 1346, "cart": 1204, "catalog": 6521, "checkout_bug": 44, "compare": 275,
            "error_page": 276, "filter_results": 2610, "home": 2762, "payment_details": 709, "payment_error": 119,
            "product_view": 6851, "promo_page": 796, "purchase": 470, "review_page": 406, "search": 4011,
            "shipping_details": 958, "support_chat": 277, "wishlist_add": 812,
        }.items()
    },
    traits={
        item.path: item
        for item in (
            Property("acquisition_channel", ("string",), samples=("email", "organic", "paid_search", "social", "direct")),
            Property("user_cohort", ("string",), samples=("2024-01", "2024-02", "2024-03", "2024-04")),
            Property("user_lifecycle", ("string",), samples=("returning", "loyal", "new")),
            Property("platform", ("string",), samples=("desktop", "tablet", "mobile")),
        )
    },
)  # fmt: skip
