"""Migrations of both stores: applied once, by one of many, and never changed afterwards."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from uuid import UUID

import pytest
from msgspec import Struct

import segment_copilot.stores.migrations
from segment_copilot.errors import Conflict
from segment_copilot.events.trait_versions import trait_version
from segment_copilot.stores.clickhouse import ClickHouse, ClickHouseError, open_clickhouse
from segment_copilot.stores.migrations import migrate, planned, statements, status
from segment_copilot.stores.postgres import Postgres, open_postgres

HOLDERS = "postgres/0007_lease_holders.sql"
SINCE_HOLDERS = [
    "postgres/0008_segment_drafts_and_versions.sql",
    "postgres/0009_membership_changes.sql",
    "postgres/0010_exports_and_snapshots.sql",
    "postgres/0011_schema_violations.sql",
    "postgres/0013_identity.sql",
    "postgres/0014_access.sql",
    "postgres/0015_user_numbers.sql",
    "postgres/0016_refresh.sql",
    "postgres/0017_webhooks.sql",
    "postgres/0018_deliveries.sql",
    "postgres/0019_event_quota_and_answers.sql",
    "postgres/0020_live_refresh.sql",
    "postgres/0021_computation_progress.sql",
    "postgres/0022_read_lists.sql",
    "postgres/0023_kept_slots.sql",
    "postgres/0024_audit.sql",
    "postgres/0025_event_retention.sql",
    "postgres/0030_shard_placement.sql",
]
BITMAPS = "clickhouse/0006_membership_bitmaps.sql"
CURRENT = "clickhouse/0002_traits_current.sql"
ALL = [
    "postgres/0001_initial.sql",
    "postgres/0002_shared_secrets.sql",
    "postgres/0003_copilot_feedback.sql",
    "postgres/0004_block_leases.sql",
    "postgres/0005_failing_blocks.sql",
    "postgres/0006_member_removals.sql",
    HOLDERS,
    *SINCE_HOLDERS,
    "clickhouse/0001_initial.sql",
    CURRENT,
    "clickhouse/0003_membership_changes.sql",
    "clickhouse/0004_snapshot_members.sql",
    "clickhouse/0005_identity.sql",
    BITMAPS,
    "clickhouse/0007_kept_slots.sql",
]


class Empty(Struct, frozen=True):
    """A database of each store with nothing in it."""

    database_url: str
    clickhouse_url: str
    postgres: Postgres
    clickhouse: ClickHouse


@pytest.fixture
async def empty(empty_database_url: str, empty_clickhouse_url: str) -> AsyncGenerator[Empty]:
    async with open_postgres(empty_database_url) as postgres, open_clickhouse(empty_clickhouse_url) as clickhouse:
        yield Empty(empty_database_url, empty_clickhouse_url, postgres, clickhouse)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for store in ("postgres", "clickhouse"):
        (tmp_path / store).mkdir()
    (tmp_path / "postgres" / "0001_first.sql").write_text("CREATE TABLE one (id int); INSERT INTO one VALUES (1);")
    (tmp_path / "clickhouse" / "0001_first.sql").write_text(
        "CREATE TABLE IF NOT EXISTS one {on_cluster} (id UInt8) ENGINE = {engine}MergeTree ORDER BY id; -- first;\n"
        "/* ; */ CREATE TABLE IF NOT EXISTS two (s String DEFAULT 'a;''b\\'; -- no comment') ENGINE = MergeTree ORDER BY s"
    )
    return tmp_path


async def tables(empty: Empty) -> tuple[set[str], set[str]]:
    rows = await empty.postgres.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = (await empty.clickhouse.fetch("SHOW TABLES", purpose="catalog")).rows
    return {row["tablename"] for row in rows}, {name for (name,) in found}


async def test_both_stores_are_migrated(empty: Empty) -> None:
    assert await migrate(empty.postgres, empty.clickhouse) == ALL
    in_postgres, in_clickhouse = await tables(empty)
    assert {"schema_migrations", "tenants", "segments", "events"} <= in_postgres
    assert in_clickhouse == {
        "events",
        "traits",
        "traits_current",
        "users",
        "membership_changes",
        "user_numbers",
        "segment_states",
        "segment_deltas",
        "snapshot_members",
        "identity_links",
        "erasing",
        "kept_slots",
    }


async def test_a_second_run_finds_nothing_to_do(empty: Empty) -> None:
    await migrate(empty.postgres, empty.clickhouse)
    assert await migrate(empty.postgres, empty.clickhouse) == []


async def test_of_two_processes_at_once_one_applies_and_both_succeed(empty: Empty) -> None:
    program = (
        "import asyncio, sys\n"
        "from segment_copilot.stores.clickhouse import open_clickhouse\n"
        "from segment_copilot.stores.migrations import migrate\n"
        "from segment_copilot.stores.postgres import open_postgres\n"
        "async def main(database_url, clickhouse_url):\n"
        "    async with open_postgres(database_url) as postgres, open_clickhouse(clickhouse_url) as clickhouse:\n"
        "        print('applied', len(await migrate(postgres, clickhouse)))\n"
        "asyncio.run(main(*sys.argv[1:]))\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, empty.database_url, empty.clickhouse_url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(output.split()[-1] for output in outputs) == [b"0", str(len(ALL)).encode()]


async def test_many_tasks_at_once_apply_once(empty: Empty) -> None:
    applied = await asyncio.gather(*(migrate(empty.postgres, empty.clickhouse) for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], ALL]


async def test_a_new_file_is_applied_after_the_old(empty: Empty, source: Path) -> None:
    await migrate(empty.postgres, empty.clickhouse, source=source)
    (source / "postgres" / "0002_second.sql").write_text("INSERT INTO one VALUES (2);")
    (source / "postgres" / "notes.txt").write_text("not a migration")
    assert await migrate(empty.postgres, empty.clickhouse, source=source) == ["postgres/0002_second.sql"]
    assert await empty.postgres.fetchval("SELECT sum(id) FROM one") == 3


@pytest.mark.parametrize("store", ["postgres", "clickhouse"])
async def test_a_file_changed_after_it_was_applied_is_refused(empty: Empty, source: Path, store: str) -> None:
    await migrate(empty.postgres, empty.clickhouse, source=source)
    with (source / store / "0001_first.sql").open("a") as file:
        file.write(" ")
    (source / store / "0002_second.sql").write_text("this is not looked at")
    with pytest.raises(Conflict, match=f"{store}/0001_first.sql") as caught:
        await migrate(empty.postgres, empty.clickhouse, source=source)
    assert caught.value.code == "migration_changed"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("SELECT 1 / 0", "division by zero"),
        # It runs; only writing it down fails, as when the process dies just then.
        ("INSERT INTO schema_migrations VALUES ('postgres', '0002_second.sql', '')", "schema_migrations_pkey"),
    ],
)
async def test_a_postgres_file_that_fails_leaves_nothing_behind(
    empty: Empty, source: Path, text: str, error: str
) -> None:
    (source / "postgres" / "0002_second.sql").write_text(f"CREATE TABLE half (id int); {text}")
    with pytest.raises(Exception, match=error):
        await migrate(empty.postgres, empty.clickhouse, source=source)
    assert await tables(empty) == ({"schema_migrations", "one"}, set())
    (source / "postgres" / "0002_second.sql").write_text("CREATE TABLE half (id int);")
    assert "postgres/0002_second.sql" in await migrate(empty.postgres, empty.clickhouse, source=source)


async def test_a_clickhouse_file_that_failed_half_way_is_run_again(empty: Empty, source: Path) -> None:
    file = source / "clickhouse" / "0001_first.sql"
    text = file.read_text()
    file.write_text(text + "; SELECT no_such_column")
    with pytest.raises(ClickHouseError):
        await migrate(empty.postgres, empty.clickhouse, source=source)
    file.write_text(text)
    assert await migrate(empty.postgres, empty.clickhouse, source=source) == ["clickhouse/0001_first.sql"]
    assert (await tables(empty))[1] == {"one", "two"}


def test_statements_are_cut_outside_of_strings_names_and_comments() -> None:
    text = """-- a; b
        SELECT 'x;''y', "a;b", `c;d`, '\\';' /* ; -- */ ; ;
        SELECT 2 -- it's the end;"""
    assert statements(text) == ["""SELECT 'x;''y', "a;b", `c;d`, '\\';'""", "SELECT 2"]


async def test_a_cluster_fills_the_places_left_for_it(empty: Empty, source: Path) -> None:
    (source / "clickhouse" / "0001_first.sql").write_text("SELECT '{on_cluster} {engine}MergeTree' + 1")
    with pytest.raises(ClickHouseError, match="ON CLUSTER `main` ReplicatedMergeTree"):
        await migrate(empty.postgres, empty.clickhouse, cluster="main", source=source)


FILES = Path(segment_copilot.stores.migrations.__file__).parent


def released(path: Path, *names: str) -> Path:
    """The migrations up to a release."""
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes((FILES / name).read_bytes())
    return path


async def test_traits_of_before_are_current_after_the_migration(empty: Empty, tmp_path: Path) -> None:
    """With the versions that new rows have, or above them and marked. The statements may be run again."""
    await migrate(
        empty.postgres, empty.clickhouse, source=released(tmp_path, *(name for name in ALL if name != CURRENT))
    )
    noon = datetime(2026, 6, 1, 12, 0, 0, 5, tzinfo=UTC)
    at = [noon, noon - timedelta(microseconds=1), datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)]
    coded = [str(UUID(int=5**55)), "0", "-", "f" * 39, "0123456789abcdef-"]
    others = ["f" * 40, "g", "A", "é", "1.2", " ", "-" * 29, "z" * 128]
    stored = [
        (1, "plan", f"{id_} {at}", at, id_, f'{{"v":"{number}"}}')
        for number, (id_, at) in enumerate(product([*coded, *others], at))
    ]
    columns = ("tenant_id", "property", "user_id", "occurred_at", "event_id", "value_text")
    await empty.clickhouse.insert("traits", columns, stored, token="a")

    for _ in range(2):  # as when the process dies before it writes down that it was applied
        assert await migrate(empty.postgres, empty.clickhouse) == [CURRENT]
        await empty.postgres.execute("DELETE FROM schema_migrations WHERE name = '0002_traits_current.sql'")

    sql = """
        SELECT event_id, traits.occurred_at, version, is_exact, traits_current.occurred_at = traits.occurred_at
            AND toString(traits_current.value) = toString(traits.value)
        FROM traits_current FINAL INNER JOIN traits USING (tenant_id, property, user_key)
    """
    rows = (await empty.clickhouse.fetch(sql, purpose="catalog")).rows
    assert len(rows) == len(stored)
    for event_id, occurred_at, version, exact, same in rows:
        assert same
        if event_id in coded:
            assert (version, exact) == trait_version(occurred_at, event_id)
        else:
            assert not exact
            above = trait_version(occurred_at, "\U0010ffff" * 32)[0]
            below = trait_version(occurred_at + timedelta(microseconds=1), "")[0]
            assert above < version < below


async def test_members_of_before_are_bitmaps_after_the_migration(empty: Empty, tmp_path: Path) -> None:
    """Every run and every set of changes; of both tenants. The statements may be run again."""
    await migrate(
        empty.postgres, empty.clickhouse, source=released(tmp_path, *(name for name in ALL if name != BITMAPS))
    )
    runs, sets = (UUID(int=1), UUID(int=2)), (UUID(int=3), UUID(int=4))
    columns = ("tenant_id", "segment_id", "run_id", "user_id")
    rows = (
        [(1, 5, runs[0], user) for user in "ab"] + [(1, 5, runs[1], user) for user in "bc"] + [(2, 6, UUID(int=9), "a")]
    )
    await empty.clickhouse.insert("memberships", columns, rows, token="a")
    sql = """
        INSERT INTO membership_changes SELECT 1, 5, 7, {set:UUID}, user, sipHash64(user), entered
        FROM values('user String, entered Bool', __ROWS__)"""
    for change_set, changes in zip(sets, ("('a', true), ('b', true)", "('c', true), ('a', false)"), strict=True):
        await empty.clickhouse.execute(sql.replace("__ROWS__", changes), {"set": change_set}, purpose="compute")
    await empty.clickhouse.execute(
        "INSERT INTO users (tenant_id, user_id, first_seen, last_seen) SELECT 1, 'z', now(), now()", purpose="compute"
    )

    for _ in range(2):  # as when the process dies before it writes down that it was applied
        assert await migrate(empty.postgres, empty.clickhouse) == [BITMAPS]
        await empty.postgres.execute("DELETE FROM schema_migrations WHERE name = '0006_membership_bitmaps.sql'")

    async def rows_of(sql: str) -> list[tuple[object, ...]]:
        return (await empty.clickhouse.fetch(sql, purpose="catalog")).rows

    named = "arrayStringConcat(arraySort(groupArray(user_id)))"
    listed = f"""
        SELECT __KEY__, {named} FROM (SELECT __KEY__, tenant_id, arrayJoin(bitmapToArray(__SET__)) AS number FROM __TABLE__) AS one
        INNER JOIN user_numbers USING (tenant_id, number) GROUP BY __KEY__ ORDER BY __KEY__"""
    states = listed.replace("__KEY__", "run_id").replace("__SET__", "members").replace("__TABLE__", "segment_states")
    assert await rows_of(states) == [(runs[0], "ab"), (runs[1], "bc"), (UUID(int=9), "a")]
    deltas = listed.replace("__KEY__", "change_set").replace("__TABLE__", "segment_deltas")
    assert await rows_of(deltas.replace("__SET__", "entered")) == [(sets[0], "ab"), (sets[1], "c")]
    assert await rows_of(deltas.replace("__SET__", "gone")) == [(sets[1], "a")]
    numbers = "SELECT tenant_id, arraySort(groupArray(number)) FROM user_numbers GROUP BY tenant_id ORDER BY tenant_id"
    assert [(tenant, list(given)) for tenant, given in await rows_of(numbers)] == [(1, [1, 2, 3, 4]), (2, [1])]  # type: ignore[call-overload]


async def test_blocks_that_were_tried_before_the_migration_are_asked_about(empty: Empty, tmp_path: Path) -> None:
    before = released(tmp_path, *(name for name in ALL if name not in {HOLDERS, *SINCE_HOLDERS}))
    await migrate(empty.postgres, empty.clickhouse, source=before)
    blocks = "('pending', 0, NULL), ('pending', 1, NULL), ('pending', 0, now()), ('forwarded', 1, NULL)"
    await empty.postgres.execute(
        f"INSERT INTO blocks (status, attempts, failing_since, event_count) SELECT *, 1 FROM (VALUES {blocks}) AS old"
    )

    assert await migrate(empty.postgres, empty.clickhouse) == [HOLDERS, *SINCE_HOLDERS]

    assert [row["begun"] for row in await empty.postgres.fetch("SELECT begun FROM blocks ORDER BY id")] == [0, 1, 1, 0]


async def test_where_each_migration_stands(empty: Empty, source: Path) -> None:
    before = await status(empty.postgres, source=source)
    assert [(one.name, one.state, one.applied_at) for one in before] == [
        ("postgres/0001_first.sql", "pending", None),
        ("clickhouse/0001_first.sql", "pending", None),
    ]
    assert await tables(empty) == (set(), set())  # who only looks leaves nothing behind

    await migrate(empty.postgres, empty.clickhouse, source=source)
    (source / "postgres" / "0002_second.sql").write_text("SELECT 1")
    with (source / "clickhouse" / "0001_first.sql").open("a") as file:
        file.write(" ")
    await empty.postgres.execute("INSERT INTO schema_migrations VALUES ('clickhouse', '0007_later.sql', '')")

    after = await status(empty.postgres, source=source)

    assert [(one.name, one.state) for one in after] == [
        ("postgres/0001_first.sql", "applied"),
        ("postgres/0002_second.sql", "pending"),
        ("clickhouse/0001_first.sql", "changed"),
        ("clickhouse/0007_later.sql", "newer"),
    ]
    assert [one.applied_at is None for one in after] == [False, True, False, False]


async def test_what_would_run_is_told_and_not_run(empty: Empty, source: Path) -> None:
    plan = await planned(empty.postgres, cluster="main", source=source)

    assert list(plan) == ["postgres/0001_first.sql", "clickhouse/0001_first.sql"]
    assert plan["postgres/0001_first.sql"] == ["CREATE TABLE one (id int)", "INSERT INTO one VALUES (1)"]
    assert (
        plan["clickhouse/0001_first.sql"][0]
        == "CREATE TABLE IF NOT EXISTS one ON CLUSTER `main` (id UInt8) ENGINE = ReplicatedMergeTree ORDER BY id"
    )
    assert await tables(empty) == (set(), set())

    await migrate(empty.postgres, empty.clickhouse, source=source)
    assert await planned(empty.postgres, source=source) == {}
    (source / "postgres" / "0001_first.sql").write_text("SELECT 1")
    with pytest.raises(Conflict, match=r"postgres/0001_first\.sql"):
        await planned(empty.postgres, source=source)
