"""Random definitions, and random users whose values and times lie on the definitions' edges.

Names are few, so that conditions meet events. Times are what windows and lengths give, a microsecond before and after.
A definition is valid by construction; that it decodes is a part of the test.

Everything is drawn from a `Random`, not by Hypothesis: a data set and its definitions are some hundred thousand draws,
of which Hypothesis makes a few thousand a second, most of them variations of the draw before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from segment_copilot.language.operators import ValueType
from tests.support.language.reference import Event
from tests.support.language.reference_times import Clock, Span, back, calendar_period, shift, wanted_span

Json = dict[str, Any]

AS_OFS = tuple(
    datetime.fromisoformat(text).astimezone(UTC)
    for text in (
        "2026-06-15T10:30:00.123456Z",
        "2026-03-31T00:30:00Z",  # in Madrid 02:30, which two days before does not occur
        "2026-10-26T01:30:00Z",  # 02:30 again, which a day before occurs twice
        "2026-10-25T01:30:00Z",  # the second time it occurs
        "2024-02-29T12:00:00.000001Z",
        "2026-04-25T22:30:00Z",  # in Cairo the day before began at 01:00
        "2026-03-09T07:15:00Z",  # in New York 03:15, a day after a day of 23 hours
        "2026-04-05T15:00:00Z",  # on Lord Howe clocks went back by half an hour
        "1900-02-01T00:30:00.000001Z",  # in New York a month before is on the wall still in 1899
        "2299-12-30T10:00:00Z",
    )
)
ZONES = (
    "UTC",
    "Europe/Madrid",
    "America/New_York",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
)
DAYS = (0, 1, 2, 7, 30, 365)
LENGTHS = ("1m", "90m", "1h", "36h", "1d", "2d", "2w", "1mo", "13mo", "1y")
SPANS = ("1m", "90m", "1h", "1d", "1w")
STEPS = (timedelta(0), timedelta(minutes=1), timedelta(minutes=90), timedelta(hours=1), timedelta(days=1))
MICROSECOND = timedelta(microseconds=1)
FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC) - MICROSECOND

IDENTIFY = "context_identified"
EVENT_TYPES = ("view", "cart", "order's \\ %", "ünï🙂\n`")

# Property paths as definitions write them; `payloads` makes payloads that have them.
AMOUNT, STATUS, FLAG, TAGS, MOMENT, ITEMS = "amount", "status", "flag", "tags", "at", "items"
WEIRD = {
    r"dot\.ted": "dot.ted",
    r"back\\slash": "back\\slash",
    "quo'te\"`": "quo'te\"`",
    "a[]": "a[]",
    "^caret": "^caret",
    r"x\.:String": "x.:String",
    "ключ 🙂\n%": "ключ 🙂\n%",
    "constructor()": "constructor()",
    "{p0:String}": "{p0:String}",
}
NESTED = ("nested.deep", "nested", r"nested.do\.t.x", "dot.ted", "status.x", "tags.x", "absent")
DECLARED: dict[str, ValueType] = {
    "declared_date": "datetime",
    "declared_text": "string",
    "seconds": "epoch_s",
    "millis": "epoch_ms",
}
EPOCHS = {"seconds": 1_000_000, "millis": 1_000}
"""Properties whose numbers are datetimes, with the microseconds of one."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NUMBERS: tuple[Any, ...] = (0, 1, 2, 10, 0.1, 0.2, 0.3, 0.6, -5, 2.5, 89.95, 1000, 1e-7, 5e-7, 1.5e-6, 2**53, 2**53 + 1)
LARGE_NUMBERS: tuple[Any, ...] = (
    9e12,
    -9e12,
    9000000000000.002,
    1e13,
    1e300,
    -1.7e308,
    2**63,
    2**64 - 1,
    -(2**63),
    1e22,
)
NUMBER_STRINGS = ("0", "-0", "1", "10", "10.0", "1e1", "89.95", "0.1", "2.5E+0", "1e22", "9007199254740993", "5e-324")
NOT_NUMBER_STRINGS = (" 10", "10 ", "1,000", "NaN", "inf", "0x10", "007", "+5", ".5", "5.", "1e400", "10\n", "١", "-")
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "aB",
    "abc",
    "b",
    "a\nb",
    "%",
    "_",
    "a%b",
    "it's",
    '"',
    "\\",
    "\\n",
    "é",
    "É",
    "e\u0301",
    "Straße",
    "STRASSE",
    "ΟΔΟΣ",
    "οδος",
    "οδοσ",
    "ж",
    "Ж",
    "🙂",
    "\uffff",
    "日本",
    "' OR 1=1 --",
    "{p0:String}",
    "null",
    "true",
    "[]",
    '["a"]',
)
DATES = (
    "2026-03-29",
    "2026-06-01",
    "2026-06-15",
    "2026-10-25",
    "1900-01-02",
    "2299-12-30",
    "1969-12-31",
    "2011-12-30",  # a day that Apia never had
    "2024-02-29",
)
INSTANTS = (
    "2026-06-01T00:00:00Z",
    "2026-06-01T00:00:00",
    "2026-05-31T22:00:00.000000Z",
    "2026-05-31T21:59:59.9999999Z",
    "2026-06-02T03:59:59.999999+00:00",
    "2026-06-01T23:59:59-04:00",
    "2026-10-25T02:30:00",
    "2026-03-29T02:30:00",
    "2026-10-25T00:30:00Z",
    "1969-12-31T23:59:59.999999Z",
    "1900-01-02T00:00:00Z",
)
NOT_DATES = (
    "2026-06-01  10:00:00",
    "2026-06-01 10:00:00 Z",
    "2026-06-01T10:00",
    "2026-02-30",
    "2026-02-30T10:00:00Z",
    "2026-06-01T24:00:00Z",
    "2026-06-01T10:00:60Z",
    "20260601",
    "2026-6-1",
    "2026-06-01T10:00:00+0200",
    "2026-06-01T10:00:00z",
    "1899-12-31",
    "2300-01-01",
    "2299-12-31T23:30:00-04:00",
    "1900-01-01T00:30:00+04:00",
    "yesterday",
    "1780000000",
    "2026-06-01T10:00:00.Z",
)
REGEXES = (
    "a",
    "^a.b$",
    "(?s)a.b",
    "(?i)STRASSE",
    "[A-Z]+",
    r"\d+",
    "%",
    r"\\",
    "'",
    "^é$",
    "",
    ".",
    "^$",
    r"\bab\b",
    r"\pL",
    "a|%",
    "[^a]",
    "b$",
    r"^\p{Greek}+$",
    r"(?m)^b",
    "^.$",
    r"\x{1F642}",
    "(?P<n>a)b",
)
ELEMENTS: tuple[Any, ...] = ("a", "A", "b", "1", "10.0", 1, 1.0, 10, 2.5, True, False, "é", "it's", "\\", "true", "")
ODD_ELEMENTS: tuple[Any, ...] = (None, [1], ["a"], {"a": 1}, 2**53 + 1, 2**64 - 1, 1e300, "' OR 1=1", "1e400", [])
ODD_VALUES: tuple[Any, ...] = (
    None,
    {},
    {"x": 1},
    {"x": None},
    {"x": {"y": []}},
    [{"x": 1}, {"x": 2}],
    [[1], ["a"]],
    [None],
)
SKUS = ("A-1", "a-1", "B", "", "1", "é")
"""What the items of an order are told apart by."""
IDS = ("1", "a", "Z", "é", "~", "🙂", "10", "9")


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PERIODS = [
    "today",
    "yesterday",
    "this_week",
    "last_week",
    "this_month",
    "last_month",
    "this_quarter",
    "last_quarter",
    "this_year",
    "last_year",
]


DATE_PERIODS = [*PERIODS, "tomorrow", "next_week", "next_month", "next_quarter", "next_year"]


class World(Struct, frozen=True):
    """What a data set is drawn from: the instants asked about, and the times on their edges."""

    as_ofs: tuple[datetime, ...]
    zones: tuple[str, ...]
    times: tuple[datetime, ...]


def world(as_ofs: tuple[datetime, ...], zones: tuple[str, ...]) -> World:
    """Times at and around every boundary that a window or a recency can have at *as_ofs* in *zones*."""
    bounds: set[datetime] = set()
    for as_of in as_ofs:
        for zone in zones:
            clock = Clock(as_of, ZoneInfo(zone))
            lengths = [*LENGTHS, *(f"{days + more}d" for days in DAYS for more in (0, 1))]
            bounds.update(back(clock, length) for length in lengths)
            bounds.update(shift(as_of, -number, "d", clock.zone) - timedelta(hours=1) for number in (0, 1))
            bounds.update(calendar_period(name, clock).start for name in DATE_PERIODS)
    near = {bound + step for bound in bounds for step in (-MICROSECOND, timedelta(0), MICROSECOND)}
    return World(as_ofs, zones, tuple(sorted({min(max(time, FIRST), LAST) for time in near})))


class Draw:
    """Draws from one seed."""

    def __init__(self, seed: int, world: World) -> None:
        self.random = Random(seed)  # noqa: S311  (a test is to be repeatable)
        self.world = world

    def one(self, values: Sequence[Any]) -> Any:
        return self.random.choice(values)

    def some(self, values: Sequence[Any], least: int, most: int) -> list[Any]:
        return [self.one(values) for _ in range(self.random.randint(least, most))]

    def chance(self, of: int) -> bool:
        """True once in *of* times."""
        return self.random.randrange(of) == 0

    # Stored values.

    def scalar(self) -> Any:
        """Anything that is no list, object or null."""
        return self.one(
            [*NUMBERS, *LARGE_NUMBERS, -0.0, *NUMBER_STRINGS, *NOT_NUMBER_STRINGS, *TEXTS, *DATES, True, False]
        )

    def list(self) -> list[Any]:
        kinds = (
            [*ELEMENTS, *ODD_ELEMENTS],
            ["a", "A", "b", "é"],
            [1, 2, 10],
            [True, False],
            [1.0, 2.5, 1],
            ["a", 1],
            [1, True],
        )
        return self.some(self.one(kinds), 0, 4)

    def dirt(self) -> Any:
        """A value that a property would not have in a tidy shop."""
        kind = self.random.randrange(4)
        if kind == 0:
            return self.list()
        return self.scalar() if kind < 3 else self.one(ODD_VALUES)

    def moment(self) -> str:
        """A datetime as data has it, or almost."""
        written = self.one(self.world.times).isoformat(self.one("TT ")).replace("+00:00", self.one(["Z", ""]))
        return self.one([self.one(DATES), self.one(INSTANTS), self.one(NOT_DATES), written])

    def elapsed(self, unit: int) -> Any:
        """A datetime as a number since 1970, whole or with a fraction, or almost one."""
        exact = (self.one(self.world.times) - EPOCH) // MICROSECOND
        late = 10**16 + self.random.randrange(10**15)  # about the year 2299, some beyond
        exact = self.one([exact, exact, exact, -2_208_988_800_000_000 + self.one([-1, 0, 1]) * unit, late, -1])
        return self.one([exact // unit, exact / unit, exact / unit, str(exact // unit), self.moment()])

    def number(self) -> Any:
        return self.one(self.one([NUMBERS, NUMBERS, NUMBER_STRINGS, LARGE_NUMBERS]))

    def nested(self) -> Json:
        fields = {"deep": self.number(), "do.t": {"x": 1}, "x": None, "": 1, "only": {}}
        return {name: fields[name] for name in fields if self.chance(2)}

    def items(self) -> list[Any]:
        """What an order has: objects, now and then something else among them."""
        return [
            self.item() if not self.chance(6) else self.one([self.scalar(), *ODD_VALUES])
            for _ in range(self.one([0, 1, 2, 3]))
        ]

    def item(self) -> Json:
        fields: dict[str, Callable[[], Any]] = {
            "sku": lambda: self.one(SKUS),
            "price": self.number,
            "gift": lambda: self.chance(2),
            "sizes": self.list,
            "due": self.moment,
            "of": self.nested,
            "dot.ted": lambda: self.one(TEXTS),
            "seconds": lambda: self.elapsed(EPOCHS["seconds"]),
        }
        names = self.some([*fields, "sku", "price"], 0, 5)
        return {name: self.dirt() if self.chance(6) else fields[name]() for name in sorted(set(names))}

    def payload(self) -> Json:
        """Properties of an event, or traits."""
        tidy: dict[str, Callable[[], Any]] = {
            AMOUNT: self.number,
            STATUS: lambda: self.one(TEXTS),
            FLAG: lambda: self.chance(2),
            TAGS: self.list,
            MOMENT: self.moment,
            "nested": self.nested,
            ITEMS: self.items,
            "declared_date": self.moment,
            "declared_text": self.moment,
            **{name: lambda unit=unit: self.elapsed(unit) for name, unit in EPOCHS.items()},
        }
        names = set(self.some([*tidy, *tidy, *tidy, *WEIRD.values()], 0, 6))
        return {name: self.dirt() if name not in tidy or self.chance(5) else tidy[name]() for name in sorted(names)}

    def history(self, user_id: str) -> list[Event]:
        """The deliveries of one user. Times repeat, and events follow each other by the lengths of sequences."""
        base = self.one(self.world.times)
        return [self.event(user_id, base) for _ in range(self.random.randint(1, 12))]

    def event(self, user_id: str, base: datetime) -> Event:
        moved = base + self.one(STEPS) + self.one([-1, 0, 0, 1]) * MICROSECOND
        when = self.one([self.one(self.world.times), moved, moved])
        event_type = self.one([*EVENT_TYPES, *EVENT_TYPES, IDENTIFY, IDENTIFY, IDENTIFY])
        event_id = "" if self.chance(2) else f"{user_id}{self.one(IDS)}"
        return Event(user_id, event_type, min(max(when, FIRST), LAST), self.payload(), event_id)

    # Tests of one value.

    def equality(self, values: Sequence[Any]) -> Json:
        return {"operator": self.one(["eq", "neq"]), "value": self.one(values)}

    def choice(self, values: Sequence[Any]) -> Json:
        return {"operator": self.one(["in", "not_in"]), "value": self.some(values, 1, 3)}

    def order(self, values: Sequence[Any], key: Callable[[Any], Any] | None = None) -> Json:
        """A comparison or a range, whose lower end comes first."""
        if self.chance(2):
            return {"operator": self.one(["gt", "gte", "lt", "lte"]), "value": self.one(values)}
        ends = sorted(self.some(values, 2, 2), key=key)
        between = {"operator": self.one(["between", "not_between"])}
        return between | self.one([{"value": ends}, {"value": ends[0], "value2": ends[1]}])

    def number_test(self) -> Json:
        values = (*NUMBERS, *NUMBERS, *LARGE_NUMBERS)
        return self.one([self.equality(values), self.choice(values), self.order(values)]) | self.told("number")

    def string_test(self) -> Json:
        texts = (*TEXTS, *NUMBER_STRINGS[:4])
        ends = {"operator": self.one(["starts_with", "ends_with"]), "value": self.one(texts)}
        regex = {"operator": "matches_regex", "value": self.one(REGEXES)}
        test = self.one([self.equality(texts), self.choice(texts), self.order(texts), ends, regex])
        return _in_order(test | self.any_case()) | self.told("string")

    def containment_test(self) -> Json:
        test = {"operator": self.one(["contains", "does_not_contain"])}
        told = self.one([{}, {}, {"value_type": "string"}, {"value_type": "list"}])
        if self.chance(2):
            return test | {"value": self.one([1, 1.0, 10, 2.5, True, False, 2**53, 2**53 + 1])} | told
        wanted = self.one(["a", "A", "b", "é", "É", "", "1", "%", "\\", "true", "ΟΣ", "it's", "\n"])
        return test | {"value": wanted} | self.any_case() | told

    def list_test(self) -> Json:
        """Any, all or none of a few values of one type."""
        values = self.one([["a", "A", "b", "é", "É", "1", ""], [1, 1.0, 10, 2.5, 2**53], [True, False]])
        wanted = self.some(values, 1, 3)
        case = self.any_case() if isinstance(wanted[0], str) else {}
        told = {"value_type": "list"} if self.chance(4) else {}
        return (
            {"operator": self.one(["contains_any", "contains_all", "contains_none", "equals_set"]), "value": wanted}
            | case
            | told
        )

    def clock_test(self) -> Json:
        """A test of a date whose answer changes with the clock."""
        values = [*DATES, *INSTANTS, *(self.one(self.world.times).isoformat() for _ in range(4))]
        sided = {"operator": self.one(["before", "after"]), "value": self.one(values)}
        lengths = {
            "operator": self.one(["in_last", "not_in_last", "in_next"]),
            "value": self.one([*LENGTHS, "1mo", "2y"]),
        }
        round_again = {
            "operator": self.one(["anniversary_in_next", "anniversary_in_last"]),
            "value": self.one(["0d", "1d", "30d", "2w", "3mo", "1y", "9y"]),
        }
        window = {"operator": self.one(["in_window", "in_window", "not_in_window"]), "value": self.date_window()}
        season = {"operator": "anniversary_in", "value": self.season()}
        tests = [sided, lengths, lengths, round_again, window, window, season]
        return self.one(tests) | self.told("datetime")

    def date_window(self) -> Json:
        """Every form of a window, whose periods may be to come."""
        period = {"period": self.one(DATE_PERIODS)}
        return self.one(
            [period, period, {"last": self.one(LENGTHS)}, self.from_to(), self.between(), self.whole_days()]
        )

    def season(self) -> Json:
        return self.one([{"period": self.one(DATE_PERIODS)}, {"month": self.random.randint(1, 12)}])

    def boolean_test(self) -> Json:
        flag = {"operator": self.one(["is_true", "is_false"])}
        return self.one([flag, self.equality((True, False)), self.choice((True, False))]) | self.told("boolean")

    def presence_test(self) -> Json:
        return {"operator": self.one(["is_set", "is_not_set", "is_empty", "is_not_empty"])} | self.told("number")

    def date_test(self, *, declared: bool = False) -> Json:
        """A comparison with dates, which needs no type; equality, which does; or one told to compare as strings."""
        values = [*DATES, *INSTANTS, *(self.one(self.world.times).isoformat() for _ in range(4))]
        ordered = self.order(values, key=_start)
        equal = self.one([self.equality(values), self.choice(values)])
        as_dates = [ordered, ordered | {"value_type": "datetime"}, equal | {"value_type": "datetime"}]
        as_strings = self.order(values) | {"value_type": "string"}
        return self.one([*as_dates, *as_dates, equal, *([] if declared else [as_strings])])

    def told(self, value_type: str) -> Json:
        """Now and then the type is said."""
        return {"value_type": value_type} if self.chance(4) else {}

    def any_case(self) -> Json:
        return {"ignore_case": True} if self.chance(3) else {}

    def comparison(self, *, of_event: bool) -> Json:
        """A property compared with a trait or with another property of the event, usually of the same kind."""
        kinds: dict[str, list[str]] = {
            "number": [AMOUNT, AMOUNT, "nested.deep", STATUS],
            "string": [STATUS, STATUS, "declared_text", r"dot\.ted", AMOUNT],
            "boolean": [FLAG, FLAG, TAGS],
            "datetime": [MOMENT, MOMENT, "declared_date", "declared_text", "seconds"],
            "epoch_s": ["seconds", "seconds", MOMENT, "millis"],
            "epoch_ms": ["millis", "millis", "declared_date"],
        }
        type_ = self.one([*kinds, "number", "string", "datetime"])
        one, two = self.one(kinds[type_]), self.one(kinds[type_])
        operators = ["eq", "neq"] if type_ == "boolean" else ["eq", "eq", "neq", "gt", "gte", "lt", "lte"]
        operators += ["before", "after"] if type_ not in {"number", "string", "boolean"} else []
        other = {self.one(["trait", "property"]) if of_event else "trait": two}
        told: Json = {"value_type": type_}
        if type_ == "datetime" and self.chance(2) and DECLARED.get(one, DECLARED.get(two)) == "datetime":
            told = {}  # nobody need say it (but of those of event types without a schema)
            operators = ["before", "after"]
        fold = self.any_case() if type_ == "string" else {}
        return {"property": one, "operator": self.one(operators), "value": other} | told | fold

    def property_test(self, *, of_event: bool = True) -> Json:
        """A property and a test of it, usually of the kind that the property is made for."""
        if self.chance(6):
            return self.comparison(of_event=of_event)
        kinds = {
            AMOUNT: [self.number_test],
            STATUS: [self.string_test, self.string_test, self.containment_test],
            FLAG: [self.boolean_test],
            TAGS: [self.containment_test, self.list_test],
            MOMENT: [self.date_test, self.clock_test],
            "nested.deep": [self.number_test],
        }
        path = self.one([*kinds, *kinds, *kinds, *NESTED, *WEIRD, *DECLARED])
        if path in DECLARED:
            test = self.one([self.date_test(declared=True), self.clock_test()])
            told = {"value_type": self.one(["epoch_s", "epoch_ms"])} if path in EPOCHS and self.chance(2) else {}
            return {"property": path} | test | told
        every = [one for tests in kinds.values() for one in tests] + [self.presence_test]
        test = self.one(every if path not in kinds or self.chance(4) else kinds[path])
        return {"property": path} | test()

    def items_test(self) -> Json:
        """A test of the items of a list: mostly of some properties of objects, now and then of the item itself."""
        kinds: dict[str, list[Callable[[], Json]]] = {
            "sku": [self.string_test, lambda: {"operator": "in", "value": self.some(SKUS, 1, 2)}],
            "price": [self.number_test],
            "gift": [self.boolean_test],
            "sizes": [self.list_test, self.containment_test],
            "due": [self.date_test, self.clock_test],
            "of.deep": [self.number_test],
            r"dot\.ted": [self.string_test],
            ".": [self.string_test, self.number_test, self.boolean_test, self.containment_test, self.presence_test],
            "of": [self.presence_test],
            "seconds": [lambda: self.date_test() | {"value_type": "epoch_s"}],
        }
        every = [one for tests in kinds.values() for one in tests] + [self.presence_test]
        tests = list[Json]()
        for _ in range(self.one([1, 2, 2, 3])):
            path = self.one([*kinds, "sku", "price"])
            if self.chance(8):
                test = self.comparison(of_event=True) | {"property": path}
                tests.append(({"value_type": "datetime"} | test) | self.negate())
            else:
                tests.append({"property": path} | self.one(every if self.chance(5) else kinds[path])() | self.negate())
        return {"any_of": self.one([ITEMS, ITEMS, ITEMS, TAGS, "a[]", "nested", "absent"]), "conditions": tests}

    # Conditions.

    def where(self) -> Json:
        """`{"where": …}`, or usually nothing."""
        if not self.chance(3):
            return {}
        tests = [
            (self.items_test() if self.chance(4) else self.property_test()) | self.negate()
            for _ in range(self.random.randint(1, 2))
        ]
        grouped = {"logic": self.one(["AND", "OR", "or"]), "conditions": tests}
        return {"where": self.one([tests, grouped])}

    def negate(self) -> Json:
        return {"negate": True} if self.chance(4) else {}

    def event_types(self) -> Any:
        names = [*EVENT_TYPES, *EVENT_TYPES, IDENTIFY]
        return self.one([self.one(names), self.one(names), self.some(names, 1, 2), "*", self.one(["never", "*"])])

    def match(self) -> Json:
        """The fields that choose events."""
        return {"event_type": self.event_types()} | self.where() | self.at()

    def at(self) -> Json:
        """`{"at": …}`, or usually nothing: hours that an event of the world begins or ends, some over midnight."""
        if not self.chance(6):
            return {}
        days = {"weekdays": self.some(WEEKDAYS, 1, 4)}
        zone = ZoneInfo(self.one(self.world.zones))
        near = [self.one(self.world.times).astimezone(zone).strftime("%H:%M") for _ in range(2)]
        begin, end = self.one([near, ["22:00", "06:00"], ["00:00", "12:00"], ["09:30", "00:00"]])
        hours = {"hours": [begin, end]} if begin != end else {"hours": ["02:00", "03:00"]}
        return {"at": self.one([days, hours, days | hours])}

    def window(self, lengths: Sequence[str] = LENGTHS) -> Json:
        return self.one([{}, {"window_days": self.one(DAYS)}, {"window": {"last": self.one(lengths)}}])

    def any_window(self) -> Json:
        """Every form of a window."""
        if self.chance(2):
            return self.window()
        return {"window": self.one([self.from_to(), self.between(), {"period": self.one(PERIODS)}, self.whole_days()])}

    def whole_days(self) -> Json:
        return {"last": self.one(["1d", "2d", "30d", "1w", "2w"]), "days": self.one(["complete", "with_today"])}

    def from_to(self) -> Json:
        times = sorted(self.some(self.world.times, 2, 2))
        ends = [self.one([time.isoformat(), time.date().isoformat()]) for time in times]
        both = {"from": ends[0], "to": ends[1]}
        return self.one([{"from": ends[0]}, {"to": ends[1]}, *([both] if _start(ends[0]) < _start(ends[1]) else [])])

    def between(self) -> Json:
        near, far = sorted(self.some([*DAYS, 0], 2, 2))
        return {"between": [f"{max(far, 1)}d", f"{near}d"]}

    def event_count(self) -> Json:
        compared = self.one([{}, self.equality((0, 1, 2)), self.order((0, 1, 2, 3))])
        return {"type": "event_count"} | self.match() | self.any_window() | compared

    def recency(self) -> Json:
        operator = self.one(["gt", "gte", "lt", "lte", "eq", "between"])
        near, far = sorted(self.some(DAYS, 2, 2))
        far_end = {"value2": far} if operator == "between" else {}
        return {"type": "recency", "operator": operator, "window_days": near} | self.match() | far_end

    def monetary(self) -> Json:
        metric = self.one(["sum", "avg", "min", "max", "median", "count_distinct"])
        amounts = (*NUMBERS, 0.15, 0.05, 0.5, 5, 45.475, *LARGE_NUMBERS)
        values = (0, 1, 2, 3) if metric == "count_distinct" else amounts
        path = self.one([AMOUNT, AMOUNT, AMOUNT, "nested.deep", STATUS, TAGS, "a[]", "absent"])
        fields = {"type": "monetary", "property": path, "metric": metric} | self.match() | self.any_window()
        return fields | self.one([self.equality(values), self.order(values)])

    def event_property(self) -> Json:
        occurrence = self.one([{}, *({"occurrence": name} for name in ("latest", "first", "any", "every"))])
        return {"type": "event_property"} | self.match() | self.any_window() | self.property_test() | occurrence

    def user_property(self) -> Json:
        return {"type": "user_property"} | self.property_test(of_event=False)

    def sequence(self) -> Json:
        steps = [
            self.match() if self.chance(3) else self.one([*EVENT_TYPES, IDENTIFY, "*"])
            for _ in range(self.one([2, 2, 3, 4]))
        ]
        for index, step in enumerate(steps[1:], 1):
            if self.chance(4):
                match = step if isinstance(step, dict) else {"event_type": step}
                steps[index] = match | {"within": self.one(SPANS)}
        rules: Json = {"strict": True} if self.chance(3) else {}
        if self.chance(3):
            rules["none_between"] = [self.one([self.one(EVENT_TYPES), self.match()]) for _ in range(self.one([1, 2]))]
        if self.chance(3):
            rules["search_window"] = self.one([{"last": self.one(LENGTHS)}, self.from_to(), self.between()])
        if self.chance(3):
            rules["same"] = self.some([STATUS, FLAG, AMOUNT, FLAG, "nested.deep", TAGS, "absent", *WEIRD], 1, 2)
        return {"type": "event_sequence", "events": steps} | self.window(SPANS) | rules

    def event_time(self) -> Json:
        test = self.one([self.date_test(declared=True), self.clock_test()])
        test.pop("value_type", None)
        return {"type": "event_time"} | self.match() | test | self.one([{}, {"occurrence": "last"}])

    def event_periods(self) -> Json:
        fields = {"period": self.one(["day", "week", "month"]), "last": self.one([1, 2, 3, 8])}
        least = self.one([{}, {}, {"min_per_period": 2}])
        compared = self.one([self.equality((0, 1, 2)), self.order((0, 1, 2, 3))])
        return {"type": "event_periods"} | self.match() | fields | least | compared

    def measure(self) -> Json:
        """A number made of a user's events."""
        name = self.one(["count", "days_active", "sum", "sum", "avg", "min", "max", "count_distinct"])
        path = self.one([AMOUNT, AMOUNT, AMOUNT, "nested.deep", STATUS, TAGS, "absent"])
        measured = {} if name in {"count", "days_active"} else {"property": path}
        return {"measure": name} | measured | self.match() | self.measured_window()

    def measured_window(self) -> Json:
        forms = [{"last": self.one(LENGTHS)}, self.from_to(), self.between(), {"period": self.one(PERIODS)}]
        return self.one([{}, {}, {"window": self.one([*forms, self.whole_days()])}])

    def measure_compare(self) -> Json:
        """Two measures, often of the same events in another window, or of other events in the same."""
        left, right = self.measure(), self.measure()
        if self.chance(2):
            right = deepcopy(left) | self.one([self.match(), self.measured_window(), {"event_type": "view"}])
        factor = {"factor": self.one([1, 2, 3, 0.5, 0.1, 1.5, 0.333333, 1e-06, 0, -1, 10**12, 1e12])}
        operator = self.one(["eq", "neq", "gt", "gte", "lt", "lte"])
        sides = {"left": left, "operator": operator, "right": right}
        return {"type": "measure_compare"} | sides | self.one([{}, {}, factor])

    def rank(self) -> Json:
        """Some that part those who are tied, as most are."""
        part = self.one(
            [
                {"top": self.one([1, 2, 3, 7, 20, 10_000_000])},
                {"bottom": self.one([1, 2, 5, 11])},
                {"top_percent": self.one([0.001, 1, 10, 12.5, 33.333, 50, 99.999, 100])},
                {"bottom_percent": self.one([0.5, 5, 33, 66.667, 100])},
            ]
        )
        return {"type": "rank", "by": self.measure()} | part

    def sample(self) -> Json:
        start, end = sorted(self.random.sample([0, 0.1, 12.5, 33, 50, 99.9, 100], 2))
        return {"type": "sample", "salt": self.one(["a", "É", "it's"]), "from": start, "to": end}

    def membership(self, segment_ids: Sequence[int]) -> Json:
        several = {"segment_ids": self.some(segment_ids, 1, 3)}
        condition = {"type": "segment_membership"} | self.one([{"segment_id": self.one(segment_ids)}, several])
        return condition | self.one([{}, {"operator": "in"}, {"operator": "not_in"}])

    def leaf(self, segment_ids: Sequence[int] = ()) -> Json:
        """A condition that is no group."""
        kinds = [
            self.event_count,
            self.recency,
            self.event_time,
            self.event_periods,
            self.sample,
            self.monetary,
            self.event_property,
            self.event_property,
            self.user_property,
            self.user_property,
            self.sequence,
            self.sequence,
            self.measure_compare,
            self.measure_compare,
            self.rank,
            self.rank,
        ]
        if segment_ids:
            kinds.append(lambda: self.membership(segment_ids))
        return self.one(kinds)() | self.negate()

    def group(self, segment_ids: Sequence[int], depth: int) -> Json:
        """`{logic, conditions}` whose groups nest at most *depth* deep; now and then with a condition and its complement."""
        conditions: list[Json] = [
            self.nested_group(segment_ids, depth - 1) if depth > 1 and self.chance(4) else self.leaf(segment_ids)
            for _ in range(self.one([1, 1, 2, 3]))
        ]
        if self.chance(4):
            conditions.insert(self.random.randint(0, len(conditions)), self.contrary(self.one(conditions), depth))
        return {"logic": self.one(["AND", "OR", "and", "Or"]), "conditions": conditions}

    def nested_group(self, segment_ids: Sequence[int], depth: int) -> Json:
        """A condition that joins others; half of them count theirs, some of which may be the same."""
        group = {"type": "group"} | self.group(segment_ids, depth) | self.negate()
        if self.chance(2):
            return group
        conditions = [*group["conditions"]] + [self.leaf(segment_ids) for _ in range(self.one([0, 1, 2, 3]))]
        if self.chance(4):
            conditions.append(deepcopy(self.one(conditions)))
        least = self.random.randint(1, len(conditions))
        return group | {"logic": self.one(["AT_LEAST", "At_Least"]), "at_least": least, "conditions": conditions}

    def contrary(self, condition: Json, depth: int) -> Json:
        """The complement of a condition, by itself or, where groups may nest, in a group with another condition."""
        opposite = complement(condition)
        if depth == 1 or condition["type"] == "group" or self.chance(2):
            return opposite
        beside = deepcopy(self.one([opposite, condition, self.leaf()]))
        return {"type": "group", "logic": self.one(["AND", "OR"]), "conditions": [beside, opposite]} | self.negate()

    def definition(self, segment_ids: Sequence[int] = ()) -> Json:
        """A whole definition, at most four groups deep."""
        definition = self.group(segment_ids, 4)
        if self.chance(4):
            definition["exclude"] = self.group(segment_ids, 2)
        if self.chance(2):
            definition["timezone"] = self.one(self.world.zones)
        return definition


def complement(condition: Json) -> Json:
    """The condition that is true for all others."""
    return deepcopy(condition) | {"negate": not condition.get("negate", False)}  # as JSON, siblings share nothing


def _start(value: str) -> datetime:
    span: Span | None = wanted_span(value, ZoneInfo("UTC"))
    assert span
    return span.start


def _in_order(test: Json) -> Json:
    """*test*, its range in the order of lower case where it is compared so."""
    if "between" not in test["operator"] or "ignore_case" not in test:
        return test
    ends = test["value"] if "value2" not in test else [test["value"], test["value2"]]
    lower, upper = sorted(ends, key=str.lower)
    return test | ({"value": [lower, upper]} if "value2" not in test else {"value": lower, "value2": upper})
