"""One integer for (occurred_at, event_id): the same order, or a mark that it may not be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from random import Random
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from segment_copilot.events import Event, write_block
from segment_copilot.events.trait_versions import trait_version
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.language.lengths import EARLIEST, LATEST
from segment_copilot.stores.clickhouse import ClickHouse

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
TIMES = st.one_of(
    st.sampled_from([NOON, NOON + timedelta(microseconds=1), EARLIEST, LATEST]),
    st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC)),
)
NEAR = "\x01,-./09:@AZ[^_`afgz{~\x7f\x80é🙂"  # the first and last of each kind of character
IDS = st.one_of(
    st.uuids().map(str),
    st.text("0123456789abcdef-", max_size=45),
    st.text(NEAR, max_size=40),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=128),
)
STEMS = st.sampled_from(
    ["", "a", "0123456789abcdef" * 2, "f" * 38, "f" * 39, "f" * 40, "Z" * 27, "é" * 6, "~" * 13, "\x7f" * 12]
)


def compare(one: tuple[datetime, str], two: tuple[datetime, str]) -> None:
    (version, exact), (other, other_exact) = trait_version(*one), trait_version(*two)
    keys = (one[0], one[1].encode()), (two[0], two[1].encode())
    if exact or other_exact:
        assert (version < other, version == other) == (keys[0] < keys[1], keys[0] == keys[1])
    else:
        assert (version <= other) or keys[0] > keys[1]


@settings(max_examples=2000)
@given(TIMES, IDS, TIMES, IDS)
def test_versions_order_as_time_and_id_do(at: datetime, event_id: str, other_at: datetime, other_id: str) -> None:
    compare((at, event_id), (other_at, other_id))
    compare((at, event_id), (at, other_id))


@settings(max_examples=2000)
@given(STEMS, IDS, IDS)
def test_ids_that_begin_alike_order_too_where_the_code_ends(stem: str, one: str, two: str) -> None:
    compare((NOON, stem + one), (NOON, stem + two))
    compare((NOON, stem), (NOON, stem + two))


def test_all_short_ids_of_every_kind_of_character_order_as_their_bytes() -> None:
    ids = ["".join(characters) for length in range(3) for characters in product(NEAR, repeat=length)]
    versions = [trait_version(NOON, id_) for id_ in sorted(ids, key=str.encode)]
    assert all(exact for _, exact in versions)
    assert all(one < two for (one, _), (two, _) in pairwise(versions))


def test_every_byte_has_a_place_of_its_own() -> None:
    """As one character each, up to 0x7f, and as the bytes that begin and continue the others."""
    characters = [*map(chr, range(1, 128)), *map(chr, range(0x80, 0x800, 7)), "\u0800", "\uffff", "\U0010ffff"]
    versions = [trait_version(NOON, character) for character in sorted(characters, key=str.encode)]
    assert all(one < two for (one, _), (two, _) in pairwise(versions))


@pytest.mark.parametrize(
    ("event_id", "exact"),
    [
        ("", True),
        (str(uuid4()), True),
        ("f" * 39, True),
        ("f" * 40, False),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", True),  # a ULID
        ("2d1bIfnvMzWhKGKLRKTXmzPTxvz", True),  # a KSUID
        ("V1StGXR8_Z5jdHi6B-myT", True),  # a nanoid
        ("d" * 24 + "-0123456789-t", True),
        ("z" * 27, True),
        ("z" * 28, False),
        ("ñ" * 6, True),
        ("x" * 128, False),
    ],
    ids=["empty", "uuid", "hex-39", "hex-40", "ulid", "ksuid", "nanoid", "imported", "z-27", "z-28", "two-bytes", "longest"],
)  # fmt: skip
def test_what_fits(event_id: str, *, exact: bool) -> None:
    assert trait_version(NOON, event_id)[1] is exact


def test_the_earliest_and_the_latest_fit_into_256_bits() -> None:
    assert trait_version(EARLIEST, "")[0] == 0
    assert trait_version(LATEST, "\U0010ffff" * 32)[0] < 2**256


async def test_clickhouse_keeps_the_greatest_version(clickhouse: ClickHouse) -> None:
    """Of rows that differ in the lowest bits only, and in the highest."""
    ids = ["f" * 38 + "e", "f" * 39, "f" * 38 + "d"]
    columns = ("tenant_id", "property", "user_id", "version", "occurred_at", "is_exact", "value_text")
    for at in (LATEST, EARLIEST):
        for id_ in ids:
            version, exact = trait_version(at, id_)
            row = (1, "plan", "ana", version, at, exact, f'{{"v":"{id_[-1]} {at.year}"}}')
            await clickhouse.insert("traits_current", columns, [row], token=uuid4().hex)
    sql = "SELECT value.v.:String, version FROM traits_current FINAL"
    assert (await clickhouse.fetch(sql, purpose="catalog")).rows == [("f 2299", trait_version(LATEST, "f" * 39)[0])]


READ = """
SELECT user_key, value.v.:Int64 AS n FROM traits_current FINAL
WHERE tenant_id = 1 AND occurred_at <= {as_of:DateTime64(6, 'UTC')} AND is_exact AND n IS NOT NULL
UNION ALL
SELECT user_key, argMax(tuple(value.v.:Int64), (occurred_at, event_id)).1 AS n FROM traits
WHERE tenant_id = 1 AND occurred_at <= {as_of:DateTime64(6, 'UTC')} AND user_key IN (
    SELECT user_key FROM traits_current FINAL
    WHERE tenant_id = 1 AND (occurred_at > {as_of:DateTime64(6, 'UTC')} OR NOT is_exact)
)
GROUP BY user_key HAVING n IS NOT NULL
"""
HISTORY = """
SELECT user_key, argMax(tuple(value.v.:Int64), (occurred_at, event_id)).1 AS n FROM traits
WHERE tenant_id = 1 AND occurred_at <= {as_of:DateTime64(6, 'UTC')} GROUP BY user_key HAVING n IS NOT NULL
"""
LONG = "é" * 40  # ids that begin like this cannot be told apart by their versions


async def test_the_current_values_and_the_history_behind_them_are_the_history(clickhouse: ClickHouse) -> None:
    """At every instant, with late, equal and removed values, ids too long to be exact, merged and not."""
    random = Random(5)  # noqa: S311  (a test is to be repeatable)
    times = [NOON + timedelta(microseconds=step) for step in range(4)]
    ids = [f"{stem}{number:03}" for number in range(100) for stem in ("", "a", "-", LONG)]
    random.shuffle(ids)
    events = [
        Event(1, id_, f"user-{random.randrange(60)}", IDENTIFY, random.choice(times), random.choice([f'{{"n":{n}}}', '{"n":null}']))
        for n, id_ in enumerate(ids)
    ]  # fmt: skip
    for start in range(0, len(events), 40):
        await write_block(clickhouse, events[start : start + 40], token=f"a block {start}")
    decoys = [replace(event, tenant_id=2, occurred_at=times[-1], payload='{"n":-1}') for event in events]
    await write_block(clickhouse, decoys, token="decoys")

    async def read(sql: str, as_of: datetime) -> list[tuple[int, int]]:
        return sorted((await clickhouse.fetch(sql, {"as_of": as_of}, purpose="catalog")).rows)

    for merged in (False, True):
        if merged:
            await clickhouse.execute("OPTIMIZE TABLE traits_current FINAL", purpose="migrate")
        for as_of in [NOON - timedelta(microseconds=1), *times]:
            found = await read(READ, as_of)
            assert found == await read(HISTORY, as_of)
            newest = {
                event.user_id: event.payload
                for event in sorted(events, key=lambda event: (event.occurred_at, event.event_id.encode()))
                if event.occurred_at <= as_of
            }
            assert sorted(f'{{"n":{n}}}' for _, n in found) == sorted(
                text for text in newest.values() if "null" not in text
            )
