"""What a catalog calls things, and how its values are stored, in any tenant: names in camel case, with dots and spaces."""

from __future__ import annotations

import pytest

from evals.corpus.notation import parse_definition
from evals.corpus.printing import write_definition
from segment_copilot.english.reading.audience import understand
from segment_copilot.english.reading.same import members
from segment_copilot.language.catalog import Catalog, EventType, Property, SegmentName
from segment_copilot.language.nodes import Scalar
from tests.support.english.catalogs import AS_OF


def texts(path: str, *samples: Scalar, description: str = "") -> Property:
    return Property(path, types=("string",), samples=samples, description=description)


def numbers(path: str, *samples: Scalar, description: str = "") -> Property:
    return Property(path, types=("number",), declared="number", samples=samples, description=description)


def event(name: str, *properties: Property, description: str = "") -> EventType:
    return EventType(name, description, 100, properties={one.path: one for one in properties})


EVENTS = [
    event("Gift Donated", texts("Amount", "5.00", "50.00", "1,299.00"), texts("Anonymous", "N", "Y")),
    event(
        "videoWatched",
        numbers("watchTime", 30, 90, description="For how long, in minutes"),
        numbers("completed", 0, 1, description="1 when it was watched to the end, else 0"),
        texts("genre", "Documentary", "documentary", "Kids"),
    ),
    event("ticket.resolved", numbers("csat", 1, 2, 5, description="How content they were with it, 1 to 5")),
    event("app_opened", texts("appVersion", "5.2.1", "6.0"), texts("os", "iOS", "Android"), texts("path", "/help")),
    event("post_shared", texts("Channel", "WhatsApp", "Email")),
]
TRAITS = [
    texts("City", "sydney", "Sydney", "Perth"),
    texts("isStudent", "Yes", "No"),
    texts("Age Group", "18-34", "35-54", "55+"),
    texts("Lifetime Value", "478.80", "1,050.50", "37.50"),
    texts("Last Login", "2026-06-17", "Jun 12, 2026", "12/05/2026"),
    texts("Renewal", "06/20/2026"),
    texts("Budget", "$30,875"),
    texts("account_manager", "Dana Whitfield", "Luis Ortega"),
]
CATALOG = Catalog(
    event_types={one.name: one for one in EVENTS},
    traits={one.path: one for one in TRAITS},
    segments={1: SegmentName(1, "Power Users"), 2: SegmentName(2, "Donors")},
)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("people who donated", 'count("Gift Donated")≥1'),
        ("people in sydney", "City=Sydney any-case"),
        ("students", "isStudent=Yes"),
        ("people who are not students", "isStudent≠Yes"),
        ("people between 35 and 54", '"Age Group"="35-54"'),
        ("ltv over 1k", '"Lifetime Value">1000 as number'),
        ("last login in the last 3 days", '"Last Login" in_last 3d as datetime'),
        ("luis accounts", 'account_manager="Luis Ortega"'),
        ("power people", 'in segment "Power Users"'),
        ("people with a donation over 50", 'count("Gift Donated"[Amount>50 as number])≥1'),
        ("people who watched a documentary to the end", "count(videoWatched[genre=Documentary any-case & completed=1])≥1"),
        ("people who watched a video for more than 2 hours", "count(videoWatched[watchTime>120])≥1"),
        ("average csat under 3", 'avg("ticket.resolved".csat)<3'),
        ("opened the app on 5.2.1", "count(app_opened[appVersion=5.2.1])≥1"),
        ("opened the app on an iphone", "count(app_opened[os=iOS])≥1"),
        ("opened the app where path starts with /he", "count(app_opened[path starts_with /he])≥1"),
        ("shared a post on whatsapp", "count(post_shared[Channel=WhatsApp])≥1"),
        ('half of donors for the test "thanks"', 'in segment Donors & sample("thanks") 0..50'),
        ('lower 15% of donors, key "june"', 'in segment Donors & sample("june") 0..15'),
    ],
)  # fmt: skip
def test_what_is_mentioned_is_found_among_the_readings(text: str, meaning: str) -> None:
    understood = understand(text, CATALOG, AS_OF, "UTC")
    wanted = members(parse_definition(meaning, {"Power Users": 1, "Donors": 2}))
    clean = [one.definition for one in understood.candidates if not one.left]

    assert wanted in map(members, clean), [write_definition(one) for one in clean[:3]]


@pytest.mark.parametrize("text", ["renewal is in the last 30 days", "budget is more than 1000"])
def test_values_that_the_language_cannot_read_are_not_compared(text: str) -> None:
    assert not [one for one in understand(text, CATALOG, AS_OF, "UTC").candidates if not one.left]
