"""The event schemas of the demo shop: what each event type means and what its payload says."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from segment_copilot.events.shapes import PropertyType, SchemaProperty
from segment_copilot.language.catalog import IDENTIFY


class DemoSchema(Struct, frozen=True):
    """A registered event type of the demo shop."""

    event_type: str
    description: str
    properties: tuple[SchemaProperty, ...]


def _text(name: str, description: str) -> SchemaProperty:
    return SchemaProperty(name, "string", required=True, description=description)


def _number(name: str, description: str) -> SchemaProperty:
    return SchemaProperty(name, "number", required=True, description=description)


def _trait(name: str, type_: PropertyType, description: str) -> SchemaProperty:
    return SchemaProperty(name, type_, description=description)


_PRODUCT: Final = _text("product_id", "Stock keeping unit of the product, like SKU-103")
_CAMPAIGN: Final = _text("campaign", "Name of the email campaign")

SCHEMAS: Final = (
    DemoSchema(
        "page_viewed",
        "A page of the shop was opened; every visit has at least one",
        (
            _text("path", "Path of the page, like /pricing or /collections/shoes"),
            _text("utm_source", "Where the visit came from: google, newsletter, instagram; direct when unknown"),
            _text("device", "mobile, desktop or tablet"),
        ),
    ),
    DemoSchema(
        "search_performed",
        "Something was searched in the shop",
        (_text("query", "The words searched for"), _number("results", "How many products were found")),
    ),
    DemoSchema(
        "product_viewed",
        "The page of a product was opened",
        (
            _PRODUCT,
            _text("category", "Category of the product, like shoes"),
            _number("price", "Price of one piece, in the currency of the visitor"),
        ),
    ),
    DemoSchema("wishlist_add", "A product was put on the wishlist", (_PRODUCT,)),
    DemoSchema("cart_add", "A product was put into the cart", (_PRODUCT,)),
    DemoSchema(
        "checkout_started",
        "The checkout was opened with something in the cart",
        (_number("value", "Value of the cart before discounts"),),
    ),
    DemoSchema(
        "order_placed",
        "A purchase: an order was placed and paid",
        (
            _number("total", "Amount paid, in the currency of the order"),
            _text("currency", "Currency of the order: USD, EUR or GBP"),
            _number("items", "How many pieces were ordered"),
            _text("category", "Category of the first product of the order"),
            SchemaProperty("coupon", "string", description="Coupon code, on orders that used one"),
        ),
    ),
    DemoSchema(
        "order_refunded",
        "Money of an order was paid back, in full or in part",
        (
            _number("total", "Amount paid back"),
            _text("reason", "wrong_size, changed_mind, damaged or late_delivery"),
        ),
    ),
    DemoSchema("email_opened", "A marketing email was opened", (_CAMPAIGN,)),
    DemoSchema("email_clicked", "A link in a marketing email was followed", (_CAMPAIGN,)),
    DemoSchema(
        "trial_started",
        "A free trial of a membership plan was started",
        (_text("plan", "The plan tried: starter, pro or business"),),
    ),
    DemoSchema(
        "support_ticket_opened",
        "The customer service was asked for help",
        (_text("priority", "low, normal, high or urgent"),),
    ),
    DemoSchema(
        IDENTIFY,
        "What is known of a user: traits as they were told or changed",
        (
            _trait("country", "string", "Country of residence, two letters: US, ES, DE"),
            _trait("city", "string", "City of residence"),
            _trait("plan", "string", "Membership plan: free, starter, pro or business"),
            _trait("loyalty_tier", "string", "bronze, silver, gold or platinum, by orders; none before the first"),
            _trait("email_opt_in", "boolean", "Whether the user agreed to marketing emails"),
            _trait("age", "number", "Age in years, where it was told"),
            _trait("tags", "list", "Labels: interests, and staff or vip"),
            _trait("signup_date", "datetime", "The day the user signed up"),
        ),
    ),
)
