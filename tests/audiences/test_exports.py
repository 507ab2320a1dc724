"""Files of members are whole, once, and of one state, whatever happens while they are written."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
import json
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences import chunks, exports
from segment_copilot.audiences.exports import Export, ExportLimits, Exports, Source
from segment_copilot.audiences.segments import Segment
from segment_copilot.errors import Conflict, Gone, InvalidInput, NotFound, TooManyRequests, Unavailable
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember, remembering

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
THEN = NOW - timedelta(hours=1)
HOSTILE = ['=1+1,"2"', "ñandú\n2", "O'Brien\\", "😀", " leading"]
USERS = sorted([*(f"user-{number:03}" for number in range(40)), *HOSTILE], key=str.encode)


@pytest.fixture(scope="module")
async def remember(module_resources: Resources) -> Remember:
    return remembering(module_resources)


@pytest.fixture(scope="module")
async def tenant(module_resources: Resources, remember: Remember) -> Tenant:
    """Everybody bought; some have an address, of all kinds."""
    tenant = await module_resources.tenants.create("acme")
    identified: list[tuple[str, dict[str, Any]]] = [
        ("user-000", {"email": "a@b.c", "age": 40, "address": {"city.name": "Lugo"}, "tags": ["x", "y,z"]}),
        ("user-001", {"email": "", "age": 1.5, "vip": True}),
        ("user-002", {"email": None}),
        (HOSTILE[0], {"email": 'q"uoted,1'}),
    ]
    await remember(tenant, [(user, "order_placed", timedelta(days=1), {}) for user in USERS])
    await remember(tenant, [(user, "context_identified", timedelta(days=1), traits) for user, traits in identified])
    await remember(tenant, [("user-002", "context_identified", timedelta(days=9), {"email": "old@b.c"})])
    return tenant


@pytest.fixture(scope="module")
async def other_tenant(module_resources: Resources) -> Tenant:
    return await module_resources.tenants.create("rival")


@pytest.fixture
async def resources(module_resources: Resources) -> AsyncGenerator[Resources]:
    """What the module shares, without exports and members of tests before."""
    yield module_resources
    await module_resources.postgres.execute(
        "TRUNCATE exports, export_chunks, snapshots, segments, member_removals CASCADE"
    )
    await module_resources.clickhouse.execute("TRUNCATE TABLE segment_states", purpose="migrate")


@pytest.fixture
async def segment(resources: Resources, tenant: Tenant) -> Segment:
    """All buyers, computed."""
    saved = (await resources.segments.create(tenant, name="Buyers", definition=BUYERS)).segment
    await compute(resources, tenant, saved)
    return saved


async def compute(resources: Resources, tenant: Tenant, segment: Segment, *, as_of: datetime = THEN) -> None:
    await resources.computations.request(tenant, segment.id, as_of=as_of)
    assert await resources.computations.run_next()


async def whole(resources: Resources, tenant: Tenant, export: Export) -> bytes:
    _, file = await resources.exports.file(tenant.id, export.id, now=datetime.now(UTC))
    parts = [part async for part in resources.exports.read(file, 0, file.size)]
    return b"".join(parts)


async def written(resources: Resources, tenant: Tenant, segment: Segment, form: Any, *include: str) -> bytes:
    asked = await resources.exports.request(tenant, Source("segment", segment.id), form, include)
    assert await resources.exports.run_next()
    return await whole(resources, tenant, asked)


async def chunk_count(resources: Resources) -> int:
    return await resources.postgres.fetchval("SELECT count(*) FROM export_chunks")


async def lapse(resources: Resources) -> None:
    """As if the time of every lease and pause had come."""
    await resources.postgres.execute("UPDATE exports SET lease_until = now() WHERE lease_until > now()")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small file have many pages and chunks."""
    monkeypatch.setattr(exports, "_PAGE", 7)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 100)


async def test_a_csv_has_all_members_and_two_columns(
    resources: Resources, tenant: Tenant, segment: Segment, small: None
):
    asked = await resources.exports.request(tenant, Source("segment", segment.id), "csv")
    assert asked.status == "pending"
    assert await resources.exports.run_next()
    assert not await resources.exports.run_next()

    content = await whole(resources, tenant, asked)
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    done = await resources.exports.get(tenant, asked.id)
    assert rows == [["user_id", "computed_at"], *([user, "2026-06-15T11:00:00Z"] for user in USERS)]
    assert (done.status, done.rows, done.bytes) == ("complete", len(USERS), len(content))
    assert done.sha256 == hashlib.sha256(content).hexdigest()
    assert done.finished_at is not None
    assert done.expires_at is not None
    assert timedelta(hours=23, minutes=59) < done.expires_at - done.finished_at <= timedelta(hours=24)


async def test_traits_come_along_with_their_types(resources: Resources, tenant: Tenant, segment: Segment, small: None):
    names = ("traits.email", "traits.age", r"traits.address.city\.name", "traits.tags", "traits.vip")
    lines = (await written(resources, tenant, segment, "ndjson", *names)).splitlines()
    text = (await written(resources, tenant, segment, "csv", *names)).decode()

    found = {row.pop("user_id"): row for row in map(json.loads, lines)}
    rows = {row["user_id"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    assert list(found) == list(rows) == USERS
    assert found["user-000"] == dict(
        zip(("computed_at", *names), ("2026-06-15T11:00:00Z", "a@b.c", 40, "Lugo", ["x", "y,z"], None), strict=True)
    )
    assert [found["user-001"][name] for name in names] == ["", 1.5, None, None, True]
    assert [found["user-002"][name] for name in names] == [None] * 5  # removed since
    assert [rows["user-000"][name] for name in names] == ["a@b.c", "40", "Lugo", '["x","y,z"]', ""]
    assert rows[HOSTILE[0]]["traits.email"] == 'q"uoted,1'
    assert rows["user-001"]["traits.vip"] == "true"


async def test_parquet_is_read_by_another_implementation(
    resources: Resources, tenant: Tenant, segment: Segment, small: None, monkeypatch: pytest.MonkeyPatch
):
    content = await written(resources, tenant, segment, "parquet", "traits.email", "traits.age")

    literal = base64.b64encode(content).decode()
    read = f"SELECT * FROM format(Parquet, base64Decode('{literal}'))"
    described = f"SELECT columns.name, columns.compression FROM format(ParquetMetadata, base64Decode('{literal}'))"
    found = await resources.clickhouse.fetch(read, purpose="catalog")
    ((names, compressions),) = (await resources.clickhouse.fetch(described, purpose="catalog")).rows
    assert found.columns == ("user_id", "computed_at", "traits.email", "traits.age") == tuple(names)
    assert set(compressions) == {"SNAPPY"}
    assert [row[:2] for row in found.rows] == [(user, "2026-06-15T11:00:00Z") for user in USERS]
    values = {row[0]: row[2:] for row in found.rows}
    assert values["user-000"] == ("a@b.c", "40")
    assert values["user-001"] == ("", "1.5")
    assert values["user-003"] == (None, None)


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
async def test_a_segment_without_members_has_a_file_without_rows(
    resources: Resources, tenant: Tenant, segment: Segment, form: Any
):
    await compute(resources, tenant, segment, as_of=NOW - timedelta(days=100))

    content = await written(resources, tenant, segment, form)

    assert content[:9] == {"csv": b"user_id,c", "ndjson": b"", "parquet": content[:9]}[form]
    (export,) = (await resources.exports.list(tenant, Source("segment", segment.id))).results
    assert (export.rows, export.status) == (0, "complete")


async def test_an_export_keeps_to_the_state_it_was_asked_of(
    resources: Resources, tenant: Tenant, segment: Segment, remember: Remember, small: None
):
    """Two more are published and the worker removes what nobody reads; then it is written."""
    asked = await resources.exports.request(tenant, Source("segment", segment.id), "csv")
    await remember(tenant, [("zoe", "order_placed", timedelta(0), {})])
    for _ in range(2):
        await compute(resources, tenant, segment, as_of=NOW)
    await resources.removals.remove_due()
    assert await resources.exports.run_next()

    content = await whole(resources, tenant, asked)
    await resources.removals.remove_due()
    runs = await resources.clickhouse.fetch("SELECT DISTINCT run_id FROM segment_states", purpose="catalog")
    assert len(content.splitlines()) == 1 + len(USERS) + 1  # one id has a line break
    assert b"zoe" not in content
    assert len(runs.rows) == 2  # what was kept for the export went with it


async def test_when_its_worker_dies_another_writes_the_file_whole_and_once(
    resources: Resources, tenant: Tenant, segment: Segment, small: None
):
    """It dies with half of the file written."""
    asked = await resources.exports.request(tenant, Source("segment", segment.id), "csv")
    claim = await resources.exports._jobs._claim()
    assert claim is not None
    await resources.exports._leases.begin([claim.lease])
    half = chunks.Chunks(resources.postgres, claim.lease)
    await half.add(b"x" * 250)
    pending = await resources.exports.get(tenant, asked.id)
    with pytest.raises(Conflict) as refused:
        await whole(resources, tenant, asked)
    await lapse(resources)

    assert await resources.exports.run_next()

    content = await whole(resources, tenant, asked)
    assert pending.status == "pending"
    assert refused.value.code == "export_not_complete"
    assert content.count(b"user_id") == 1
    assert b"xxx" not in content
    assert await chunk_count(resources) == -(-len(content) // 100)
    with pytest.raises(Unavailable):  # the dead one comes back
        await half.add(b"y" * 100)
    assert await chunk_count(resources) == -(-len(content) // 100)


async def test_a_worker_that_dies_on_it_three_times_ends_it(resources: Resources, tenant: Tenant, segment: Segment):
    asked = await resources.exports.request(tenant, Source("segment", segment.id), "csv")
    for _ in range(3):
        claim = await resources.exports._jobs._claim()
        assert claim is not None
        await resources.exports._leases.begin([claim.lease])
        await chunks.Chunks(resources.postgres, claim.lease).end()
        await lapse(resources)

    assert not await resources.exports.run_next()

    failed = await resources.exports.get(tenant, asked.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "export_crashed"
    assert await chunk_count(resources) == 0


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_what_nobody_foresaw_is_tried_three_times_and_leaves_no_piece(
    resources: Resources, tenant: Tenant, segment: Segment, small: None, form: Any
):
    """What is stored of it is no path of a trait."""
    asked = await resources.exports.request(tenant, Source("segment", segment.id), form)
    await resources.postgres.execute("UPDATE exports SET traits = '{a..b}'")
    for _ in range(3):
        await lapse(resources)
        assert await resources.exports.run_next()

    failed = await resources.exports.get(tenant, asked.id)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == ("failed", "export_failed")
    assert "a..b" not in failed.error.detail
    assert await chunk_count(resources) == 0


async def test_a_file_beyond_the_tenants_space_fails_and_leaves_nothing(
    resources: Resources, tenant: Tenant, segment: Segment, small: None
):
    limited = Exports(
        resources.postgres, resources.clickhouse, resources.discovery, limits=ExportLimits(timedelta(hours=1), 2_000)
    )
    source = Source("segment", segment.id)
    first = await limited.request(tenant, source, "csv")
    assert await limited.run_next()
    second = await limited.request(tenant, source, "csv")
    assert await limited.run_next()

    failed = await limited.get(tenant, second.id)
    assert (await limited.get(tenant, first.id)).status == "complete"
    assert failed.error is not None
    assert failed.error.code == "export_too_large"
    assert await chunk_count(resources) == -(-len(await whole(resources, tenant, first)) // 100)
    tight = Exports(
        resources.postgres, resources.clickhouse, resources.discovery, limits=ExportLimits(timedelta(hours=1), 1_000)
    )
    with pytest.raises(Conflict) as full:
        await tight.request(tenant, source, "csv")
    assert full.value.code == "export_space_full"
    await tight.delete(tenant, first.id)
    assert (await tight.request(tenant, source, "csv")).status == "pending"


async def test_a_file_goes_when_its_time_is_over_and_the_export_later(
    resources: Resources, tenant: Tenant, segment: Segment
):
    asked = await resources.exports.request(tenant, Source("segment", segment.id), "csv")
    assert await resources.exports.run_next()
    expires_at = (await resources.exports.get(tenant, asked.id)).expires_at
    assert expires_at is not None

    with pytest.raises(Gone) as gone:
        await resources.exports.file(tenant.id, asked.id, now=expires_at)
    await resources.exports.clean_up(now=expires_at + timedelta(minutes=59))
    kept = await chunk_count(resources)
    await resources.exports.clean_up(now=expires_at + timedelta(minutes=60))
    removed = await chunk_count(resources)
    listed = await resources.exports.get(tenant, asked.id)
    await resources.exports.clean_up(now=expires_at + timedelta(days=30))

    assert gone.value.code == "export_expired"
    assert (kept, removed, listed.status) == (1, 0, "complete")
    with pytest.raises(NotFound):
        await resources.exports.get(tenant, asked.id)


async def test_exports_go_with_their_segment(resources: Resources, tenant: Tenant, segment: Segment):
    source = Source("segment", segment.id)
    done = await resources.exports.request(tenant, source, "csv")
    assert await resources.exports.run_next()
    await resources.exports.request(tenant, source, "csv")

    await resources.segments.delete(tenant, segment.id)
    await resources.removals.remove_due()

    assert not await resources.exports.run_next()
    assert await chunk_count(resources) == 0
    with pytest.raises(NotFound):
        await resources.exports.get(tenant, done.id)
    found = await resources.clickhouse.fetch("SELECT count() FROM segment_states", purpose="catalog")
    assert found.rows == [(0,)]


async def test_no_file_outlives_the_erasure_of_a_user_not_even_one_that_is_being_written(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, segment: Segment, remember: Remember, small: None
):
    await remember(other_tenant, [("user-000", "order_placed", timedelta(days=1), {})])
    theirs = (await resources.segments.create(other_tenant, name="Buyers", definition=BUYERS)).segment
    await compute(resources, other_tenant, theirs)
    untouched = await resources.exports.request(other_tenant, Source("segment", theirs.id), "csv")
    source = Source("segment", segment.id)
    done = await resources.exports.request(tenant, source, "csv")
    assert await resources.exports.run_next()
    assert await resources.exports.run_next()
    open_one = await resources.exports.request(tenant, source, "csv")
    claim = await resources.exports._jobs._claim()
    assert claim is not None
    half = chunks.Chunks(resources.postgres, claim.lease)
    await half.add(b"user-000" * 50)

    ended = await resources.exports.remove_with(tenant.id, ["user-000"])

    assert ended == 2
    for export in (done, open_one):
        found = await resources.exports.get(tenant, export.id)
        assert found.error is not None
        assert (found.status, found.error.code) == ("failed", "user_erased")
    with pytest.raises(Unavailable):
        await half.add(b"user-000" * 50)
    assert (await resources.exports.get(other_tenant, untouched.id)).status == "complete"
    sql = "SELECT count(*) FROM export_chunks JOIN exports ON exports.id = export_id WHERE tenant_id = $1"
    assert await resources.postgres.fetchval(sql, tenant.id) == 0
    assert not await resources.exports.run_next()


async def test_what_cannot_be_exported_is_refused(
    resources: Resources, tenant: Tenant, other_tenant: Tenant, segment: Segment
):
    source = Source("segment", segment.id)
    fresh = (await resources.segments.create(tenant, name="New", definition=BUYERS)).segment

    with pytest.raises(Conflict) as uncomputed:
        await resources.exports.request(tenant, Source("segment", fresh.id), "csv")
    with pytest.raises(InvalidInput) as unknown:
        await resources.exports.request(tenant, source, "csv", ["traits.emial", "email", "traits.age"])
    asked = [await resources.exports.request(tenant, source, "csv") for _ in range(exports.MAX_OPEN)]
    with pytest.raises(TooManyRequests):
        await resources.exports.request(tenant, source, "csv")

    assert (uncomputed.value.code, "compute it first" in uncomputed.value.detail) == ("segment_not_computed", True)
    draft = (await resources.segments.create(tenant, name="Draft")).segment
    with pytest.raises(Conflict) as undefined:
        await resources.exports.request(tenant, Source("segment", draft.id), "csv")
    assert undefined.value.code == "segment_without_definition"
    static = (await resources.segments.create(tenant, name="List", segment_type="static")).segment
    with pytest.raises(Conflict, match="upload them first") as unlisted:
        await resources.exports.request(tenant, Source("segment", static.id), "csv")
    assert unlisted.value.code == "segment_not_computed"
    assert [(one.pointer, one.suggestions) for one in unknown.value.findings] == [
        ("/include/0", ("traits.email",)),
        ("/include/1", ()),
    ]
    attempts: list[Callable[[], Any]] = [
        lambda: resources.exports.request(other_tenant, source, "csv"),
        lambda: resources.exports.list(other_tenant, source),
        lambda: resources.exports.get(other_tenant, asked[0].id),
        lambda: resources.exports.delete(other_tenant, asked[0].id),
        lambda: resources.exports.file(other_tenant.id, asked[0].id, now=NOW),
        lambda: resources.exports.get(tenant, asked[0].id, source=Source("segment", fresh.id)),
        lambda: resources.exports.get(tenant, asked[0].id, source=Source("snapshot", segment.id)),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            await attempt()


async def test_ranges_put_together_are_the_file(resources: Resources, tenant: Tenant, segment: Segment, small: None):
    asked = await resources.exports.request(tenant, Source("segment", segment.id), "csv")
    assert await resources.exports.run_next()
    content = await whole(resources, tenant, asked)
    _, file = await resources.exports.file(tenant.id, asked.id, now=datetime.now(UTC))

    for start, stop in [(0, 1), (0, 100), (99, 101), (100, 200), (150, 250), (len(content) - 1, len(content)), (5, 5)]:
        parts = [part async for part in resources.exports.read(file, start, stop)]
        assert b"".join(parts) == content[start:stop]


async def test_two_workers_write_each_export_once(resources: Resources, tenant: Tenant, segment: Segment):
    asked = [await resources.exports.request(tenant, Source("segment", segment.id), "csv") for _ in range(4)]

    async def work() -> int:
        count = 0
        while await resources.exports.run_next():
            count += 1
        return count

    done = await asyncio.gather(work(), work())

    assert sum(done) == len(asked)
    assert await resources.postgres.fetchval("SELECT array_agg(attempts) FROM exports") == [1] * 4
    assert len({await whole(resources, tenant, export) for export in asked}) == 1
