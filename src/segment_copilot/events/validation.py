"""What a client may send as an event, and what of it is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from msgspec import Struct

MAX_ID_LENGTH = 128
MAX_TYPE_LENGTH = 128
MAX_USER_LENGTH = 256
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_PAYLOAD_DEPTH = 16

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)"  # a date alone is its midnight
    r"(?:[Tt ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)"
    r"(?: ?([Zz]|[+-]\d\d(?::?\d\d)?))?)?",
    re.ASCII,
)
_KEY = re.compile(rb'"[ \t\r\n]*:')
_FIELDS = frozenset({"user_id", "event_type", "occurred_at", "payload", "anonymous_id", "event_id"})


class Rejected(Exception):
    """Why one event is not stored. *pointer* is an RFC 6901 pointer into the event."""

    def __init__(self, pointer: str, *, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.code = code
        self.detail = detail

    def below(self, step: str | int) -> Rejected:
        """The same verdict, seen from one level further out."""
        token = str(step).replace("~", "~0").replace("/", "~1")
        return Rejected(f"/{token}{self.pointer}", code=self.code, detail=self.detail)


class ValidEvent(Struct, frozen=True, gc=False):
    """An event that may be stored. *payload* is compact JSON text; *event_id* is None when the client gave none."""

    user_id: str
    event_type: str
    occurred_at: datetime
    payload: str
    event_id: str | None = None


def validate(event: bytes | msgspec.Raw | object, *, received_at: datetime) -> ValidEvent:
    """Check one event, JSON text or already decoded; the first thing that is wrong is raised as `Rejected`."""
    fields = _fields(_decode(event) if isinstance(event, (bytes, msgspec.Raw)) else event)
    return ValidEvent(
        user_id=_text(fields, "user_id", longest=MAX_USER_LENGTH),
        event_type=_text(fields, "event_type", longest=MAX_TYPE_LENGTH),
        occurred_at=_occurred_at(fields.get("occurred_at"), received_at=received_at),
        payload=_payload(fields.get("payload")),
        event_id=_event_id(fields),
    )


def parse_instant(text: str) -> datetime | None:
    """The ISO 8601 date or date-time in *text*, naive when it has no offset; None when it is not one.

    Digits finer than microseconds are cut, not rounded.
    """
    if not (match := _INSTANT.fullmatch(text)):
        return None
    day, time, offset = match.groups()
    try:
        return datetime.fromisoformat(f"{day}T{time or '00:00'}{(offset or '').upper()}")
    except ValueError:  # 31 February, hour 25, second 60
        return None


def in_range(instant: datetime) -> datetime | None:
    """*instant* (aware) in UTC, or None outside the years 1900 to 2299, which the event store cannot hold."""
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
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            return json.loads(bytes(event), parse_constant=_refuse_constant)
        except RecursionError:
            raise _too_deep() from None
        except ValueError as error:
            raise Rejected("", code="malformed_json", detail=f"The event is not JSON: {error}.") from None
    # What looks like a key in the text is one, or part of a string: as many as were decoded means none came twice.
    if len(_KEY.findall(event)) != _count_keys(decoded):
        json.loads(bytes(event), object_pairs_hook=_refuse_repeated_key)
    return decoded


def _count_keys(value: object) -> int:
    count = 0
    items: Iterable[object] = ()
    if type(value) is dict:
        members = cast("dict[str, object]", value)
        count, items = len(members), members.values()
    elif type(value) is list:
        items = cast("list[object]", value)
    for item in items:
        kind: type = type(item)
        if kind is dict or kind is list:
            count += _count_keys(item)
    return count


def _refuse_repeated_key(members: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in members:
        if key in seen:
            detail = f"The key {key[:64]!r} occurs twice in one object; which was meant is not guessed."
            raise Rejected("", code="duplicate_key", detail=detail)
        seen.add(key)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _fields(event: object) -> Mapping[str, Any]:
    if not isinstance(event, dict):
        raise Rejected("", code="wrong_type", detail="An event is a JSON object.")
    fields = cast("dict[str, Any]", event)
    for name in fields:
        if name not in _FIELDS:
            detail = (
                f"An event has no such field; it has {', '.join(sorted(_FIELDS))}. Anything else goes into payload."
            )
            raise Rejected("", code="unknown_field", detail=detail).below(name)
    if fields.get("anonymous_id") is not None:  # accepted, checked, and of no effect until identities are linked
        _text(fields, "anonymous_id", longest=MAX_USER_LENGTH)
    return fields


def _text(fields: Mapping[str, Any], name: str, *, longest: int) -> str:
    value = fields.get(name)
    if value is None:
        raise Rejected("", code="missing_field", detail=f"{name} is required.").below(name)
    if not isinstance(value, str):
        raise Rejected("", code="wrong_type", detail=f"{name} is a string.").below(name)
    if not value:
        raise Rejected("", code="empty_string", detail=f"{name} must not be empty.").below(name)
    if len(value) > longest:
        raise Rejected("", code="too_long", detail=f"{name} has at most {longest} characters.").below(name)
    try:
        return _string(value, 0)
    except Rejected as rejected:
        raise rejected.below(name) from None


def _event_id(fields: Mapping[str, Any]) -> str | None:
    """None for an absent, null or empty id: none of the three is an id."""
    if fields.get("event_id") in (None, ""):
        return None
    return _text(fields, "event_id", longest=MAX_ID_LENGTH)


def _occurred_at(value: object, *, received_at: datetime) -> datetime:
    if value is None:
        return received_at
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None:
        detail = "occurred_at is an ISO 8601 instant such as 2026-04-25T14:32:00Z."
        raise Rejected("/occurred_at", code="wrong_time", detail=detail)
    moved = in_range(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    if moved is None:
        raise Rejected("/occurred_at", code="time_out_of_range", detail="occurred_at lies in the years 1900 to 2299.")
    return moved


def _payload(value: object) -> str:
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise Rejected("/payload", code="wrong_type", detail="payload is a JSON object.")
    try:
        text = msgspec.json.encode(_object(cast("dict[str, Any]", value), 1))
    except Rejected as rejected:
        raise rejected.below("payload") from None
    if len(text) > MAX_PAYLOAD_BYTES:
        detail = f"payload has at most {MAX_PAYLOAD_BYTES} bytes as compact JSON."
        raise Rejected("/payload", code="payload_too_large", detail=detail)
    return text.decode()


# What a JSON value may hold. Each takes the value and its depth and returns what is stored of it.


def _stored(value: object, depth: int) -> object:
    check = _CHECKS.get(type(value))
    return value if check is None else check(value, depth)


def _object(value: dict[str, object], depth: int) -> dict[str, object]:
    if depth > MAX_PAYLOAD_DEPTH:
        raise _too_deep()
    changed: dict[str, object] = {}
    for key, item in value.items():
        try:
            _key(key)
            if (kept := _stored(item, depth + 1)) is not item:
                changed[key] = kept
        except Rejected as rejected:
            raise rejected.below(key) from None
    return {**value, **changed} if changed else value


def _key(key: str) -> None:
    _string(key, 0)
    if "%2E" in key:
        raise Rejected(
            "", code="unsupported_key", detail="A key cannot hold %2E, which is how a dot in a key is stored."
        )


def _array(value: list[object], depth: int) -> list[object]:
    if depth > MAX_PAYLOAD_DEPTH:
        raise _too_deep()
    kept: list[object] = []
    for index, item in enumerate(value):
        try:
            kept.append(_stored(item, depth + 1))
        except Rejected as rejected:
            raise rejected.below(index) from None
    return kept


def _string(value: str, _depth: int) -> str:
    if value.isascii():
        if "\0" in value:
            raise Rejected("", code="nul_character", detail="A NUL character cannot be stored.")
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Rejected("", code="lone_surrogate", detail="Half of a surrogate pair is not a character.") from None
    if "\0" in value:
        raise Rejected("", code="nul_character", detail="A NUL character cannot be stored.")
    return value


def _integer(value: int, _depth: int) -> int | float:
    """Integers beyond 64 bits become floats: the event store would keep them as strings."""
    if -(2**63) <= value < 2**64:
        return value
    try:
        return float(value)
    except OverflowError:
        raise _too_big() from None


def _float(value: float, _depth: int) -> float:
    if value - value != 0.0:  # infinite or not a number
        raise _too_big()
    return value


_CHECKS: Mapping[type, Callable[[Any, int], Any]] = {
    dict: _object,
    list: _array,
    str: _string,
    int: _integer,
    float: _float,
}


def _too_deep() -> Rejected:
    return Rejected("", code="payload_too_deep", detail=f"payload nests at most {MAX_PAYLOAD_DEPTH} levels deep.")


def _too_big() -> Rejected:
    return Rejected("", code="number_out_of_range", detail="The number is beyond what a 64-bit float can hold.")
