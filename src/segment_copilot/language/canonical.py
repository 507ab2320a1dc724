"""Writes a definition in the one way there is, so that two that say the same in other words have one fingerprint.

Only spelling is settled (a list of one name, a pair as a list, days as a window, 1.0 for 1); the order of conditions
stays, because people read it, and no condition is moved, merged or dropped. `meaning` looks past the order too;
whether the same people are meant is told by `equivalence`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from segment_copilot.language.decode import decode
from segment_copilot.language.local_times import WEEKDAYS
from segment_copilot.language.nodes import Definition
from segment_copilot.language.operators import RANGES


def canonical(definition: Definition) -> bytes:
    """Return the canonical JSON: keys sorted, defaults left out."""
    settled = decode(settle(msgspec.to_builtins(definition)))  # decoded once more: settling may bring out a default
    return msgspec.json.encode(settled, order="sorted")


def fingerprint(definition: Definition) -> str:
    """Return the SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(definition)).hexdigest()


def meaning(definition: Definition) -> str:
    """Return a SHA-256 that changes neither with the order of what AND and OR join nor with which of them joins one."""
    return hashlib.sha256(msgspec.json.encode(_unordered(msgspec.json.decode(canonical(definition))))).hexdigest()


def _unordered(document: Any) -> Any:
    match document:
        case dict():
            fields = {name: _unordered(value) for name, value in cast("dict[str, Any]", document).items()}
            for name in ("conditions", "where"):
                if isinstance(joined := fields.get(name), list):
                    fields[name] = sorted(cast("list[Any]", joined), key=msgspec.json.encode)
            if "logic" in fields and len(fields["conditions"]) == 1:
                fields["logic"] = "AND"
                fields.pop("at_least", None)
            return fields
        case list():
            return [_unordered(item) for item in cast("list[Any]", document)]
        case _:
            return document


def settle(document: Any) -> Any:
    """Return built-in values with their spelling settled, nodes inside them included."""
    match document:
        case dict():
            fields = cast("dict[str, Any]", document)
            return _node({name: settle(value) for name, value in fields.items()})
        case list():
            return [settle(item) for item in cast("list[Any]", document)]
        case float() if document.is_integer() and abs(document) < 2**53:
            return int(document)
        case _:
            return document


def _node(fields: Mapping[str, Any]) -> dict[str, Any]:
    settled = dict(fields)
    match settled.get("event_type"):
        case [name]:
            settled["event_type"] = name
        case _:
            pass
    if settled.get("operator") in RANGES and isinstance(settled.get("value"), list):
        settled["value"], settled["value2"] = settled["value"]
    if settled.get("window_days") and settled.get("type") != "recency":  # 0 is no length; in recency it is the test
        settled["window"] = {"last": f"{settled.pop('window_days')}d"}
    if isinstance(several := settled.get("segment_ids"), list):
        ids = sorted(set(cast("list[int]", several)))
        settled |= {"segment_ids": ids}
        if len(ids) == 1:
            settled["segment_id"] = settled.pop("segment_ids")[0]
    if isinstance(paths := settled.get("same"), list):
        settled["same"] = sorted(set(cast("list[str]", paths)))
    match settled.get("at"):
        case {"weekdays": days, **hours}:
            settled["at"] = {"weekdays": [day for day in WEEKDAYS if day in days], **hours}
        case _:
            pass
    match settled.get("where"):
        case {"logic": "AND", "conditions": tests}:
            settled["where"] = tests
        case {"conditions": [test]}:
            settled["where"] = [test]
        case _:
            pass
    return settled
