"""Validates what a client sends as an event, and makes of it what is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from msgspec import Struct

from segment_copilot.documents import escape, is_plain, join, read_json, repeats_a_key, unstorable, unstorable_text
from segment_copilot.language.lengths import EARLIEST, LATEST
from segment_copilot.mistakes import unreadable

MAX_ID_LENGTH = 128
MAX_TYPE_LENGTH = 128
MAX_USER_LENGTH = 256
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_PAYLOAD_DEPTH = 16

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)"  # a date alone is its midnight
    r"(?:[Tt ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)"
    r"(?: ?([Zz]|[+-]\d\d(?::?\d\d)?))?)?",
    re.ASCII,
)
_FIELDS = frozenset({"user_id", "event_type", "occurred_at", "payload", "anonymous_id", "event_id"})


class EventRejected(Exception):
    """One event is not stored, for this reason. *pointer* is an RFC 6901 pointer into the event."""

    def __init__(self, pointer: str, *, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.code = code
        self.detail = detail


class ValidEvent(Struct, frozen=True, gc=False):
    """An event that may be stored. *payload* is compact JSON text; *event_id* is None when the client gave none."""

    user_id: str
    event_type: str
    occurred_at: datetime
    payload: str
    event_id: str | None = None


def validate(event: bytes | msgspec.Raw | object, *, received_at: datetime, user_id: str | None = None) -> ValidEvent:
    """Check one event, JSON text or already decoded; raises `EventRejected` at the first thing that is wrong.

    With *user_id* it is that user's, whoever it names.
    """
    fields = _fields(_decode(event) if isinstance(event, (bytes, msgspec.Raw)) else event)
    if user_id is not None:
        fields = {**fields, "user_id": user_id}
    return ValidEvent(
        user_id=_text(fields, "user_id", longest=MAX_USER_LENGTH),
        event_type=_text(fields, "event_type", longest=MAX_TYPE_LENGTH),
        occurred_at=_occurred_at(fields.get("occurred_at"), received_at=received_at),
        payload=_payload(fields.get("payload")),
        event_id=_event_id(fields),
    )


def parse_instant(text: str) -> datetime | None:
    """Read the ISO 8601 date or date-time in *text*, naive when it has no offset; None when it is not one.

    Digits finer than microseconds are cut, not rounded.
    """
    if not (match := _INSTANT.fullmatch(text)):
        return None
    day, time, offset = match.groups()
    try:
        return datetime.fromisoformat(f"{day}T{time or '00:00'}{(offset or '').upper()}")
    except ValueError:  # 31 February, hour 25, second 60
        return None


def to_utc(instant: datetime) -> datetime | None:
    """Return *instant* (aware) in UTC, or None outside the years 1900 to 2299, which the event store cannot hold."""
    try:
        moved = instant.astimezone(UTC)
    except OverflowError:
        return None
    return moved if EARLIEST <= moved <= LATEST else None


def _decode(event: bytes | msgspec.Raw) -> object:
    """Decode with the fast parser; what it refuses for its values alone is read again to say which value."""
    try:
        decoded = msgspec.json.decode(event)
    except RecursionError:
        raise _too_deep("") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        decoded = _decode_slowly(bytes(event))
    else:
        if not repeats_a_key(event, decoded):
            return decoded
    for flaw in unstorable_text(bytes(event).decode()):
        if flaw.code == "duplicate_key":
            raise EventRejected(flaw.pointer, code=flaw.code, detail=flaw.detail)
    return decoded


def _decode_slowly(event: bytes) -> object:
    try:
        return read_json(event.decode())
    except RecursionError:
        raise _too_deep("") from None
    except ValueError:  # UnicodeDecodeError is one
        raise EventRejected("", code="malformed_json", detail=f"The event is not JSON: {unreadable(event)}.") from None


def _fields(event: object) -> Mapping[str, Any]:
    if not isinstance(event, dict):
        raise EventRejected("", code="wrong_type", detail="An event is a JSON object.")
    fields = cast("dict[str, Any]", event)
    for name in fields:
        if name not in _FIELDS:
            detail = (
                f"An event has no such field; it has {', '.join(sorted(_FIELDS))}. Anything else goes into payload."
            )
            raise EventRejected(join(name), code="unknown_field", detail=detail)
    if fields.get("anonymous_id") is not None:  # accepted, checked, and of no effect until identities are linked
        _text(fields, "anonymous_id", longest=MAX_USER_LENGTH)
    return fields


def _text(fields: Mapping[str, Any], name: str, *, longest: int) -> str:
    value = fields.get(name)
    if value is None:
        raise EventRejected(f"/{name}", code="missing_field", detail=f"{name} is required.")
    if not isinstance(value, str):
        raise EventRejected(f"/{name}", code="wrong_type", detail=f"{name} is a string.")
    if not value:
        raise EventRejected(f"/{name}", code="empty_string", detail=f"{name} must not be empty.")
    if len(value) > longest:
        raise EventRejected(f"/{name}", code="too_long", detail=f"{name} has at most {longest} characters.")
    return value if is_plain(value) else _kept(value, f"/{name}")


def _event_id(fields: Mapping[str, Any]) -> str | None:
    """Return the event's id; None when it is absent, null or empty: none of the three is an id."""
    if fields.get("event_id") in (None, ""):
        return None
    return _text(fields, "event_id", longest=MAX_ID_LENGTH)


def _occurred_at(value: object, *, received_at: datetime) -> datetime:
    if value is None:
        return received_at
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None:
        detail = "occurred_at is an ISO 8601 instant such as 2026-04-25T14:32:00Z."
        raise EventRejected("/occurred_at", code="wrong_time", detail=detail)
    moved = to_utc(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    if moved is None:
        raise EventRejected(
            "/occurred_at", code="time_out_of_range", detail="occurred_at lies in the years 1900 to 2299."
        )
    return moved


def _payload(value: object) -> str:
    """Encode a payload as it is stored; integers beyond 64 bits become floats: the store would make them texts."""
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise EventRejected("/payload", code="wrong_type", detail="payload is a JSON object.")
    payload = cast("object", value)
    if not is_plain(payload, deepest=MAX_PAYLOAD_DEPTH):
        payload = _kept(payload, "/payload")
    text = msgspec.json.encode(payload)
    if b"%2E" in text:
        _check_keys(payload, "/payload")
    if len(text) > MAX_PAYLOAD_BYTES:
        detail = f"payload has at most {MAX_PAYLOAD_BYTES} bytes as compact JSON."
        raise EventRejected("/payload", code="payload_too_large", detail=detail)
    return text.decode()


def _kept(value: Any, pointer: str) -> Any:
    for flaw in unstorable(value, pointer, deepest=MAX_PAYLOAD_DEPTH):
        if flaw.code == "too_deep":
            raise _too_deep(flaw.pointer)
        raise EventRejected(flaw.pointer, code=flaw.code, detail=flaw.detail)
    return _in_64_bits(value)


def _check_keys(value: object, pointer: str) -> None:
    if isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            if "%2E" in key:
                detail = "A key cannot hold %2E, which is how a dot in a key is stored."
                raise EventRejected(f"{pointer}/{escape(key)}", code="unsupported_key", detail=detail)
            _check_keys(item, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            _check_keys(item, f"{pointer}/{index}")


def _in_64_bits(value: object) -> object:
    match value:
        case dict():
            return {key: _in_64_bits(item) for key, item in cast("dict[str, object]", value).items()}
        case list():
            return [_in_64_bits(item) for item in cast("list[object]", value)]
        case int():
            return value if -(2**63) <= value < 2**64 else float(value)
        case _:
            return value


def _too_deep(pointer: str) -> EventRejected:
    return EventRejected(
        pointer, code="payload_too_deep", detail=f"payload nests at most {MAX_PAYLOAD_DEPTH} levels deep."
    )
