"""The event that a phrase names, and a condition that looks at another event."""

from __future__ import annotations

from typing import Any, Final, cast

from msgspec import Struct

from segment_copilot.english.edits import patches
from segment_copilot.english.edits.fragments import Fragment
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.spots import Json, Spot
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import Link, link_event
from segment_copilot.english.words.lexicon import PEOPLE

_AMOUNTS: Final = ("total", "amount", "value", "price", "revenue", "sum")


class Named(Struct, frozen=True):
    """An event type that a phrase names, with the filters it spells."""

    name: str
    link: Link


def event_named(said: Fragment, index: Index) -> Named | None:
    """The event type that the words of a fragment name, and nothing besides."""
    if not said.content or any(word.stem in PEOPLE for word in said.content if word.lower != "members"):
        return None
    links = link_event(said.content, index)
    if not links or links[0].unexplained or links[0].unknown_values or links[0].by_property:
        return None
    return Named(links[0].event_type, links[0])


def other_event(spot: Spot, event: Named) -> tuple[list[Op], str]:
    """Look at another event; filters that it cannot have go, and the note says so. Raises Unfit for a sum it does not have."""
    known = {field.path for field in event.link.known.fields} if event.link.known else set[str]()
    fields: dict[str, Any] = {"event_type": event.name}
    note = ""
    if spot.kind in {"monetary", "event_property"} and spot.path not in known:
        amount = next((path for path in known if path in _AMOUNTS), "")
        if not amount:
            raise Unfit(f"`{event.name}` has no `{spot.path}` to add up.")
        fields["property"] = amount
    if spot.kind == "event_sequence":
        raise Unfit("Say the whole order again, for example: viewed a product, then ordered within 7 days.")
    made = patches.put(spot.condition, spot.home, fields)
    if event.link.tests:
        tests = [test.json() for test in event.link.tests]
        made += patches.put(spot.condition, spot.home, {"where": tests})
    elif "where" in spot.condition:
        where = spot.condition["where"]
        tests = cast("list[Json]", where if isinstance(where, list) else cast("Json", where)["conditions"])
        if any(test.get("any_of", test.get("property")) not in known for test in tests):
            made += patches.put(spot.condition, spot.home, {"where": None})
            note = f"`{event.name}` does not have the property that the events were filtered by, so the filter is gone"
    return made, note
