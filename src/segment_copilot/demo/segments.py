"""The saved segments of the demo tenant. Together they use every condition type, a window, a filter and an exclusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct


class DemoSegment(Struct, frozen=True):
    """A segment to save. It leaves out the members of the segments named in *without*, which come earlier in the list."""

    name: str
    description: str
    conditions: tuple[Mapping[str, Any], ...]  # all must hold
    without: tuple[str, ...] = ()

    def definition(self, ids: Mapping[str, int]) -> dict[str, Any]:
        """Return the definition to save; *ids* are those of the segments saved so far, by name."""
        made: dict[str, Any] = {"logic": "AND", "conditions": [dict(condition) for condition in self.conditions]}
        if self.without:
            others = [
                {"type": "segment_membership", "segment_id": ids[name], "operator": "in"} for name in self.without
            ]
            made["exclude"] = {"logic": "OR", "conditions": others}
        return made


def _orders(operator: str, value: int, **window: Any) -> Mapping[str, Any]:
    return {"type": "event_count", "event_type": "order_placed", "operator": operator, "value": value, **window}


def _spent(operator: str, value: int) -> Mapping[str, Any]:
    return {
        "type": "monetary",
        "event_type": "order_placed",
        "property": "total",
        "metric": "sum",
        "operator": operator,
        "value": value,
    }


def _last(event_type: str, operator: str, days: int) -> Mapping[str, Any]:
    return {"type": "recency", "event_type": event_type, "operator": operator, "window_days": days}


def _did(event_type: str, **more: Any) -> Mapping[str, Any]:
    return {"type": "event_count", "event_type": event_type, "operator": "gte", "value": 1, **more}


def _trait(name: str, operator: str, **value: Any) -> Mapping[str, Any]:
    return {"type": "user_property", "property": name, "operator": operator, **value}


SEGMENTS: Final = (
    DemoSegment(
        "Staff",
        "People who work here, by their tag; kept out of the other audiences",
        (_trait("tags", "contains", value="staff"),),
    ),
    DemoSegment(
        "Newsletter",
        "Everyone who agreed to marketing emails",
        (_trait("email_opt_in", "is_true"),),
    ),
    DemoSegment(
        "High LTV",
        "Customers who have spent more than 500 in total",
        (_spent("gt", 500),),
    ),
    DemoSegment(
        "VIP Buyers",
        "At least five orders worth more than 800 together, the last of them within 60 days",
        (_spent("gt", 800), _orders("gte", 5), _last("order_placed", "lt", 60)),
        without=("Staff",),
    ),
    DemoSegment(
        "Churn Risk",
        "Customers with two orders or more whose last visit is 30 to 90 days ago",
        (_orders("gte", 2), {**_last("page_viewed", "between", 30), "value2": 90}),
    ),
    DemoSegment(
        "Cart Abandoners",
        "Put something into the cart in the last 14 days and ordered nothing since",
        (_did("cart_add", window_days=14), _orders("eq", 0, window_days=14)),
        without=("Staff",),
    ),
    DemoSegment(
        "Pricing Page Visitors",
        "Looked at the pricing page in the last 30 days",
        (_did("page_viewed", where=[{"property": "path", "operator": "eq", "value": "/pricing"}], window_days=30),),
    ),
    DemoSegment(
        "Trial Users",
        "Started a trial and have never ordered",
        (_did("trial_started"), _orders("eq", 0)),
    ),
    DemoSegment(
        "Coupon Shoppers",
        "The latest order was placed with a coupon",
        ({"type": "event_property", "event_type": "order_placed", "property": "coupon", "operator": "is_set"},),
    ),
    DemoSegment(
        "Trial Converters",
        "Ordered within 30 days of starting a trial",
        ({"type": "event_sequence", "events": ["trial_started", "order_placed"], "window_days": 30},),
    ),
)
