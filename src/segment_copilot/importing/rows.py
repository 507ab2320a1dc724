"""Makes events of records: who, what, when, the event's properties, the user's traits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec
from msgspec import Struct, structs

from segment_copilot.documents import join, parse
from segment_copilot.events import ANONYMOUS, EventRejected, validate
from segment_copilot.importing import values
from segment_copilot.importing.layout import Items, Layout, names_of
from segment_copilot.importing.records import BadRow, Record, Source
from segment_copilot.importing.times import TimeReading
from segment_copilot.language.catalog import IDENTIFY

_SCREENS: Final = frozenset({"page", "screen", "group"})
_CALL: Final = "type"


class Row(Struct, frozen=True):
    """The events of one row, as the batch endpoint takes them: an identify if a trait changed, and the event."""

    line: int
    events: tuple[dict[str, Any], ...]
    sources: tuple[Source, ...] = ()
    mark: str = ""


def mark_of(record: Record, layout: Layout) -> str:
    """Return what makes a row the same in two versions of a file: its user, event and time, as they are written."""
    return "\x1f".join(str(record.first(names)) for names in (layout.user, layout.event, layout.time))


class RowReader(Struct, frozen=True, kw_only=True):
    """Says how records become rows. *id_start* begins the ids of events that bring none; *shift* is added to all times.

    *now* is the time of a row that describes a user and has no time.
    """

    layout: Layout
    times: TimeReading
    id_start: str
    now: datetime
    shift: timedelta = timedelta()

    def read(self, records: Iterable[Record | BadRow]) -> Iterator[Row | BadRow]:
        """Yield every record as its events, or as what is wrong with it.

        Traits are sent, as a `context_identified` of the row's time, when they differ from the same user's previous row.
        """
        layout, writer = self.layout, _Writer(self)
        for record in records if layout.items is None else _grouped(records, layout, layout.items):
            if isinstance(record, BadRow):
                yield record
                continue
            try:
                events = writer.events(record)
            except EventRejected as rejected:
                reason = f"{'/'.join(parse(rejected.pointer))}: {rejected.detail}".removeprefix(": ")
                yield BadRow(record.line, reason, record.sources)
            else:
                yield Row(record.line, events, record.sources, mark_of(record, layout))


class _Writer:
    """Writes one row after the other, and remembers what it said of each user."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._layout = layout = reader.layout
        alternatives = [names for names in (layout.user, layout.event, layout.time) if not isinstance(names, str)]
        self._alternatives = [names for names in alternatives if len(names) > 1]
        self._meant = frozenset({*layout.named(), *layout.profile}).difference(*self._alternatives)
        self._booleans = frozenset(layout.boolean)
        self._numbers = frozenset(layout.number)
        self._flags = frozenset(layout.flags)
        self._traits: dict[str, dict[str, bytes]] = {}  # of each user's previous row, as JSON: 1 is not true

    def events(self, record: Record) -> tuple[dict[str, Any], ...]:
        layout, reader = self._layout, self._reader
        if layout.pairs:
            opened = {name: values.from_pairs(record.cell(name)) for name in layout.pairs if name in record.cells}
            record = structs.replace(record, cells={**record.cells, **opened})
        moment = self._moment(record)
        user = _user_of(record, layout)
        if record.is_text and values.is_rounded(user):
            detail = f"{user!r} was rounded by a spreadsheet and may be several users: export the file again."
            raise EventRejected(join(names_of(layout.user)[0]), code="rounded_id", detail=detail)
        if user is None:
            detail = "There is no user: the row cannot be anybody's."
            raise EventRejected(join(names_of(layout.user)[0]), code="missing_field", detail=detail)
        common = {"user_id": user, "occurred_at": (moment + reader.shift).isoformat()}
        # Padded, so that among equal times the order of ids, as text, is the order of the lines.
        line_id = f"{reader.id_start}-{record.line:010d}"
        own_id = self._own_id(record)
        if layout.traits_only:
            traits = self._everything(record) if not layout.trait else {}
            return self._identify(record, common, f"{line_id}-t", traits, moment)
        event_type = layout.event_name or record.text(layout.event)
        if event_type is None and not record.is_text and (call := record.cells.get(_CALL)):
            if call == "identify":
                event = {
                    **common,
                    "event_type": IDENTIFY,
                    "payload": _traits_of_call(record.cells),
                    "event_id": own_id or line_id,
                }
                validate(event, received_at=moment)
                return (event,)
            event_type = call if call in _SCREENS else None
        if event_type is None:
            raise EventRejected(join(names_of(layout.event)[0]), code="missing_field", detail="There is no event type.")
        event = {**common, "event_type": event_type, "payload": self._payload(record), "event_id": own_id or line_id}
        validate(event, received_at=moment)
        return (*self._identify(record, common, f"{line_id}-t", {}, moment), event)

    def _moment(self, record: Record) -> datetime:
        layout, reader = self._layout, self._reader
        cell = record.first(layout.time)
        if cell is None and layout.traits_only and not layout.time:
            return reader.now
        if (moment := reader.times.read(cell)) is not None:
            return moment
        if cell in (None, ""):
            detail = "There is no time."
        elif reader.times.format:
            detail = f"{str(cell)[:100]!r} is no time that --time-format {reader.times.format} can read."
        else:
            detail = (
                f"{str(cell)[:100]!r} is no time that can be read: "
                "write year-month-day, as in 2026-04-25 14:32:00, or name its format with --time-format."
            )
        raise EventRejected(join(names_of(layout.time)[0]), code="wrong_time", detail=detail)

    def _own_id(self, record: Record) -> str | None:
        parts = [record.text(name) for name in names_of(self._layout.id)]
        if not parts or parts[0] in (None, ""):
            return None
        if record.is_text and values.is_rounded(parts[0]):
            return None  # a spreadsheet cut it: many events would be one
        if not all(part is None or isinstance(part, str) for part in parts):
            detail = "An id is a text or a whole number."
            raise EventRejected(join(names_of(self._layout.id)[0]), code="wrong_type", detail=detail)
        return self._layout.id_prefix + "-".join(part for part in parts if part)

    def _payload(self, record: Record) -> dict[str, Any]:
        """Take every column that means nothing else; the members of the objects that are properties stand among them."""
        return _lifted(self._everything(record), self._layout.properties)

    def _everything(self, record: Record) -> dict[str, Any]:
        """Return all cells that mean nothing else as values; of rows that describe users, the members of profiles too."""
        meant = self._meant - set(self._layout.profile) if self._layout.traits_only else self._meant
        for names in self._alternatives:  # of which only the one that counts is no property
            meant |= {
                name for name in names if record.cell(name) is not None and record.first(names) is record.cell(name)
            }
        rest = _without(meant, record.cells)
        found = {name: self._value(name, cell, record) for name, cell in rest.items()}
        return _lifted(found, self._layout.profile) if self._layout.traits_only else found

    def _identify(
        self, record: Record, common: Mapping[str, Any], event_id: str, traits: dict[str, Any], moment: datetime
    ) -> tuple[dict[str, Any], ...]:
        """Return an identify of the traits that differ from the user's previous row, if there are any."""
        for name in self._layout.profile if not self._layout.traits_only else ():
            if isinstance(profile := record.cell(name), dict):
                traits |= cast("dict[str, Any]", profile)
        for name in self._layout.trait:
            if (cell := record.cell(name)) is not None or name in record.cells:
                traits[name] = self._value(name, cell, record)
        user = common["user_id"]
        written = {name: msgspec.json.encode(value) for name, value in traits.items()}
        before = self._traits.get(user) if isinstance(user, str) else None
        changed = {name: traits[name] for name, text in written.items() if (before or {}).get(name) != text}
        is_new = self._layout.traits_only and before is None  # a user of whom nothing is known is one all the same
        if changed or is_new:
            event = {**common, "event_type": IDENTIFY, "payload": changed, "event_id": event_id}
            validate(event, received_at=moment)
            self._traits[user] = written
            return (event,)
        self._traits[user] = written
        return ()

    def _value(self, name: str, cell: Any, record: Record) -> Any:
        if name in self._booleans or name in self._flags:
            if (boolean := values.as_boolean(cell)) is not None:
                return boolean
            if name in self._booleans and cell is not None:
                detail = f"{str(cell)[:100]!r} is neither yes nor no: a --boolean column has yes/no, true/false or 1/0."
                raise EventRejected(join(name), code="wrong_boolean", detail=detail)
        if name in self._numbers and isinstance(cell, str):
            number = values.from_amount(cell, decimal=self._layout.decimal or ".")
            if number is None:
                raise EventRejected(join(name), code="wrong_number", detail=self._no_number(cell))
            return number
        return values.from_text(cell) if record.is_text and isinstance(cell, str) else cell

    def _no_number(self, cell: str) -> str:
        mark, other = ("comma", ".") if self._layout.decimal == "," else ("point", ",")
        hint = "" if values.from_amount(cell, decimal=other) is None else f"; by --decimal {other} it is one"
        return f"{cell[:100]!r} is no number with a decimal {mark}{hint}."


def _user_of(record: Record, layout: Layout) -> Any:
    """Return whose row it is: of a column with anonymous ids, as the service calls somebody known by one only."""
    user = record.text(layout.user)
    column = next((name for name in names_of(layout.user) if record.cell(name) is not None), "")
    return f"{ANONYMOUS}{user}" if column in layout.anonymous and isinstance(user, str) and user else user


def _traits_of_call(cells: Mapping[str, Any]) -> Any:
    """Return the traits of an `identify` call, as Segment's libraries send it and as RudderStack's do."""
    context = cells.get("context")
    traits = cells.get("traits")
    if traits is None and isinstance(context, dict):
        traits = cast("dict[str, Any]", context).get("traits")
    return traits


def _lifted(values_by_name: dict[str, Any], objects: Sequence[str]) -> dict[str, Any]:
    """Return the same with the members of *objects* among them, which win, instead of the objects."""
    for name in objects:
        if isinstance(inner := values_by_name.get(name), dict):
            del values_by_name[name]
            values_by_name |= cast("dict[str, Any]", inner)
    return values_by_name


def _without(names: frozenset[str], cells: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Return *cells* without what *names* name, also inside of objects; an object that is empty then goes too."""
    kept: dict[str, Any] = {}
    for name, cell in cells.items():
        path = place + name
        if path in names:
            continue
        if isinstance(cell, dict) and any(other.startswith(f"{path}.") for other in names):
            cell = _without(names, cast("dict[str, Any]", cell), f"{path}.")  # noqa: PLW2901  # the rest of it
            if not cell:
                continue
        kept[name] = cell
    return kept


def _grouped(records: Iterable[Record | BadRow], layout: Layout, items: Items) -> Iterator[Record | BadRow]:
    """Yield following records of one key as one: the first, with the columns of the items of all as a list.

    A row between them that cannot be read does not part them; rows whose first row cannot be read are bad too.
    """
    group: list[Record] = []
    for record in records:
        if isinstance(record, BadRow):
            yield record
            continue
        key = record.cell(items.key)
        if group and (key is None or key != group[0].cell(items.key)):
            yield _as_one(group, layout, items)
            group = []
        group.append(record)
    if group:
        yield _as_one(group, layout, items)


def _as_one(group: Sequence[Record], layout: Layout, items: Items) -> Record | BadRow:
    first = group[0]
    sources = tuple(source for record in group for source in record.sources)
    if first.cell(items.head) is None and first.cell(items.key) is not None:
        detail = f"It goes on with {first.cell(items.key)!r}, of which the first row, with {items.head!r}, is missing."
        return BadRow(first.line, detail, sources)
    cells = {name: cell for name, cell in first.cells.items() if not name.startswith(items.prefix)}
    found = [
        {
            name.removeprefix(items.prefix): _item_value(name, cell, layout)
            for name, cell in record.cells.items()
            if name.startswith(items.prefix) or cells.get(name) != cell
        }
        for record in group
    ]
    if found := [item for item in found if item]:
        cells[items.name] = found
    return Record(first.line, cells, is_text=first.is_text, sources=sources)


def _item_value(name: str, cell: Any, layout: Layout) -> Any:
    if name in layout.flags and (boolean := values.as_boolean(cell)) is not None:
        return boolean
    return values.from_text(cell) if isinstance(cell, str) else cell
