"""Fill ClickHouse for the audience benchmark: `python benchmarks/data.py DIRECTORY --events 10000000 --users 500000`.

Everything is drawn from hashes of a seed and a row number inside ClickHouse, so the same seed and size give the same
rows anywhere, and no row passes through Python. Written are the project's own tables, and for the peers the same rows
in two other forms: on our layout with string ids, and on the usual storage (sorted by tenant, user and time, with
payloads as text).

What is drawn, for 10 million events: 16 event types from 22 % to 1 %, 180 days, half a million users of whom some are
far busier than others, one user with 200,000 events, numbers in four forms (60 % fractions, 30 % whole, 8 % text, 2 %
"n/a"), 800,000 identifies of up to six traits, a second tenant with the same user ids and a quarter of the events, and
events after the instant that is asked about.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from segment_copilot.stores import migrations
from server import Server, serving

END = datetime(2026, 6, 30, tzinfo=UTC)
DAYS = 180
START = END - timedelta(days=DAYS)
AS_OF = END - timedelta(minutes=1)  # about now, as a service is mostly asked; some events are later
TENANT, DECOY = 1, 2
SEED = 7
VERSION = 3  # of what is drawn: a data directory of another one is filled anew
HEAVY_SHARE = 0.02
IDENTIFY_SHARE = 0.08

HALF_PERCENTS = {
    "page_viewed": 44,
    "product_viewed": 30,
    "session_started": 24,
    "search_performed": 18,
    "cart_updated": 16,
    "email_opened": 14,
    "email_clicked": 10,
    "order_placed": 10,
    "wishlist_added": 8,
    "coupon_applied": 6,
    "review_posted": 5,
    "video_played": 5,
    "checkout_started": 4,
    "support_contacted": 2,
    "refund_requested": 2,
    "app_installed": 2,
}

PRODUCT_TYPES = ("cart_updated", "order_placed", "product_viewed", "review_posted", "wishlist_added")
"""What is about one product: of eight that its user looks at."""

PEER_TABLES = """
CREATE TABLE peer_layout_events (
    tenant_id UInt32, event_type LowCardinality(String), user_id String, occurred_at DateTime64(6, 'UTC'),
    event_id String, payload JSON(max_dynamic_paths = 128)
) ENGINE = MergeTree PARTITION BY toYYYYMM(occurred_at)
ORDER BY (tenant_id, event_type, user_id, occurred_at, event_id);
CREATE TABLE peer_layout_traits (
    tenant_id UInt32, property LowCardinality(String), user_id String, occurred_at DateTime64(6, 'UTC'),
    event_id String, value JSON(max_dynamic_paths = 32)
) ENGINE = MergeTree ORDER BY (tenant_id, property, user_id, occurred_at, event_id);
CREATE TABLE peer_usual_events (
    tenant_id UInt32, event_type LowCardinality(String), user_id String, occurred_at DateTime64(6, 'UTC'),
    event_id String, payload String
) ENGINE = MergeTree PARTITION BY toYYYYMM(occurred_at) ORDER BY (tenant_id, user_id, occurred_at);
CREATE TABLE peer_usual_traits (
    tenant_id UInt32, property LowCardinality(String), user_id String, occurred_at DateTime64(6, 'UTC'),
    event_id String, value String
) ENGINE = MergeTree ORDER BY (tenant_id, user_id, property, occurred_at);
CREATE TABLE peer_users (tenant_id UInt32, user_id String, first_seen DateTime64(6, 'UTC'))
ENGINE = MergeTree ORDER BY (tenant_id, user_id)
"""

# Rows that are there once: a text that came in as JSON stays what it was.
INSERT_SETTINGS = {
    "input_format_try_infer_dates": 0,
    "input_format_try_infer_datetimes": 0,
    "json_type_escape_dots_in_keys": 1,
    "max_partitions_per_insert_block": 0,
    "max_insert_threads": 2,
}


def uniform(name: str, *, seed: int) -> str:
    """A number from 0 to 1 for each row and *name*."""
    return f"(cityHash64({seed}, number, '{name}') / 18446744073709551616)"


def drawn_instant(name: str, *, seed: int) -> str:
    """A microsecond of the 180 days."""
    start, span = int(START.timestamp() * 1_000_000), DAYS * 86_400 * 1_000_000
    return f"fromUnixTimestamp64Micro({start} + toInt64({uniform(name, seed=seed)} * {span}), 'UTC')"


def drawn_events(tenant: int, *, events: int, users: int, seed: int) -> str:
    """SELECT of every event of a tenant."""
    seed = seed * 10 + tenant
    heavy = int(events * HEAVY_SHARE)
    types = [name for name, share in HALF_PERCENTS.items() for _ in range(share)]
    cents = f"toUInt32(200 + pow({uniform('total', seed=seed)}, 3) * 50000)"
    product = f"(cityHash64(user_id) + cityHash64({seed}, number, 'product') % 8) % 5000"
    items = f"""concat('[', arrayStringConcat(arrayMap(item -> concat(
        '{{"sku":"sku-', toString(cityHash64({seed}, number, item, 'sku') % 500),
        '","price":', toString((1 + cityHash64({seed}, number, item, 'price') % 20000) / 100),
        ',"gift":', if(cityHash64({seed}, number, item, 'gift') % 10 = 0, 'true', 'false'), '}}'),
        range(1 + cityHash64({seed}, number, 'items') % 3)), ','), ']')"""
    return f"""
SELECT toUInt32({tenant}) AS tenant_id,
    {types}[1 + toUInt32({uniform("type", seed=seed)} * 200)] AS event_type,
    concat('user-', toString(if(number < {heavy}, 0, 1 + toUInt32(pow({uniform("user", seed=seed)}, 1.4) * {users - 1})))) AS user_id,
    {drawn_instant("time", seed=seed)} AS occurred_at,
    lower(hex(sipHash128({seed}, number))) AS event_id,
    {cents} AS cents,
    cityHash64({seed}, number, 'form') % 100 AS form,
    concat(
        '{{"total":', multiIf(form < 60, toString(cents / 100), form < 90, toString(intDiv(cents, 100)),
            form < 98, concat('"', toString(cents / 100), '"'), '"n/a"'),
        ',"quantity":', toString(1 + cityHash64({seed}, number, 'quantity') % 5),
        ',"country":"', ['ES','ES','ES','US','US','FR','DE','IT','PT','MX'][1 + cityHash64({seed}, number, 'country') % 10],
        '","device":"', ['mobile','mobile','desktop','tablet'][1 + cityHash64({seed}, number, 'device') % 4],
        '","payment":"', ['card','card','card','paypal','transfer'][1 + cityHash64({seed}, number, 'payment') % 5],
        '","path":"/p/', toString(cityHash64({seed}, number, 'path') % 5000),
        '","member":', if(cityHash64({seed}, number, 'member') % 4 = 0, 'true', 'false'),
        if(event_type IN {PRODUCT_TYPES}, concat(',"product":"sku-', toString({product}), '"'), ''),
        if(event_type IN ('cart_updated', 'order_placed'), concat(',"items":', {items}), ''),
        ',"shipping":{{"method":"', ['standard','standard','express','pickup'][1 + cityHash64({seed}, number, 'method') % 4], '"}}}}'
    ) AS payload_text
FROM numbers({events})"""


def drawn_traits(tenant: int, *, events: int, users: int, seed: int) -> str:
    """SELECT of every trait of every identify of a tenant; a tenth of the users has nothing else."""
    seed = seed * 10 + tenant
    spent = f"toUInt32(pow({uniform('spent', seed=seed)}, 4) * 500000)"
    return f"""
SELECT toUInt32({tenant}) AS tenant_id, trait.1 AS property,
    concat('user-', toString(toUInt32({uniform("identified", seed=seed)} * {int(users * 1.1)}))) AS user_id,
    {drawn_instant("identified at", seed=seed)} AS occurred_at,
    lower(hex(sipHash128({seed}, number, 'identify'))) AS event_id, trait.2 AS value_text
FROM numbers({int(events * IDENTIFY_SHARE)})
ARRAY JOIN [
    ('plan', concat('{{"v":"', ['free','free','free','free','basic','basic','pro','team'][1 + cityHash64({seed}, number, 'plan') % 8], '"}}')),
    ('country', concat('{{"v":"', ['ES','ES','ES','US','US','FR','DE','IT','PT','MX'][1 + cityHash64({seed}, number, 'home') % 10], '"}}')),
    ('spent', concat('{{"v":', multiIf(number % 10 < 6, toString({spent} / 100), number % 10 < 9, toString(intDiv({spent}, 100)), concat('"', toString({spent} / 100), '"')), '}}')),
    ('newsletter', concat('{{"v":', if(cityHash64({seed}, number, 'newsletter') % 3 = 0, 'true', 'false'), '}}')),
    ('company', concat('{{"v":"company ', toString(cityHash64({seed}, number, 'company') % 20000), '"}}')),
    ('tags', if(number % 3 = 0, '{{}}', '{{"v":["early","vip"]}}'))
] AS trait"""


def statements(*, events: int, users: int, seed: int, only: str = "") -> list[tuple[str, str]]:
    """What fills the tables, each with a word for what it does; with *only*, of the users who pass it, and without the peers'."""
    steps = list[tuple[str, str]]()
    for tenant, share in ((TENANT, 1), (DECOY, 4)):
        size = {"events": events // share, "users": users, "seed": seed}
        some_events, some_traits = drawn_events(tenant, **size), drawn_traits(tenant, **size)
        if only:
            some_events, some_traits = (f"SELECT * FROM ({one}) WHERE {only}" for one in (some_events, some_traits))
        event_columns, trait_columns = "tenant_id, event_type, user_id, occurred_at, event_id", "tenant_id, property, user_id, occurred_at, event_id"  # fmt: skip
        for name, source in (("events", some_events), ("identifies", some_traits)):
            times = "min(occurred_at), max(occurred_at)"
            steps.append((
                f"users of {name}",
                f"INSERT INTO users (tenant_id, user_id, first_seen, last_seen) SELECT tenant_id, user_id, {times} FROM ({source}) GROUP BY tenant_id, user_id",
            ))  # fmt: skip
        steps += [
            (
                "events",
                f"INSERT INTO events ({event_columns}, payload_text) SELECT {event_columns}, payload_text FROM ({some_events})",
            ),
            (
                "traits",
                f"INSERT INTO traits ({trait_columns}, value_text) SELECT {trait_columns}, value_text FROM ({some_traits})",
            ),
            (
                "peer: usual events",
                f"INSERT INTO peer_usual_events SELECT {event_columns}, payload_text FROM ({some_events})",
            ),
            (
                "peer: usual traits",
                f"INSERT INTO peer_usual_traits SELECT {trait_columns}, value_text FROM ({some_traits})",
            ),
        ]
    joined = "INNER JOIN (SELECT tenant_id, user_key, user_id FROM users FINAL) AS users USING (tenant_id, user_key)"
    steps += [
        ("current traits", statements_of("0002_traits_current.sql")[-1]),
        ("peer: users", "INSERT INTO peer_users SELECT tenant_id, user_id, first_seen FROM users FINAL"),
        (
            "peer: events on our layout",
            f"INSERT INTO peer_layout_events SELECT tenant_id, event_type, users.user_id, occurred_at, event_id, payload FROM events {joined}",
        ),
        (
            "peer: traits on our layout",
            f"INSERT INTO peer_layout_traits SELECT tenant_id, property, users.user_id, occurred_at, event_id, value FROM traits {joined}",
        ),
    ]
    tables = ["users", "events", "traits", "traits_current", "peer_users"]
    tables += [f"peer_{form}_{table}" for form in ("layout", "usual") for table in ("events", "traits")]
    steps += [(f"merge {table}", f"OPTIMIZE TABLE {table} FINAL") for table in tables]
    return [step for step in steps if "peer" not in step[0]] if only else steps


def fill(server: Server, *, events: int, users: int, seed: int = SEED, only: str = "") -> None:
    """Fill *server* unless it holds exactly this already; anything else it held is dropped. *only* is as in `statements`."""
    wanted = [[str(number) for number in (VERSION, seed, events, users)]]
    server.run("CREATE TABLE IF NOT EXISTS benchmark_data (version UInt32, seed UInt64, events UInt64, users UInt64) ENGINE = MergeTree ORDER BY seed")  # fmt: skip
    if server.run("SELECT version, seed, events, users FROM benchmark_data").rows == wanted:
        return
    for (table,) in server.run("SHOW TABLES").rows:
        if table != "benchmark_data":
            server.run(f"DROP TABLE {table} SYNC")
    server.run("TRUNCATE TABLE benchmark_data")
    create_tables(server)
    for what, sql in statements(events=events, users=users, seed=seed, only=only):
        print(f"{what}: {server.run(sql, **INSERT_SETTINGS).seconds:.1f} s", flush=True)
    server.run(f"INSERT INTO benchmark_data VALUES ({VERSION}, {seed}, {events}, {users})")


def create_tables(server: Server) -> None:
    """The project's tables from its migrations, and the peers'."""
    for file in sorted(files(migrations).joinpath("clickhouse").iterdir(), key=lambda file: file.name):
        for statement in statements_of(file.name):
            server.run(statement)
    for statement in migrations.statements(PEER_TABLES):
        server.run(statement)


def statements_of(migration: str) -> list[str]:
    """The statements of a migration of ClickHouse, for one server."""
    text = files(migrations).joinpath("clickhouse", migration).read_text("utf-8")
    return migrations.statements(text.replace("{on_cluster}", "").replace("{engine}", ""))


def main() -> None:
    """Fill a directory and say what is in it."""
    parser = argparse.ArgumentParser(description="Fill a data directory for benchmarks/compare.py.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    started = time.perf_counter()
    with serving(given.directory) as server:
        fill(server, events=given.events, users=given.users, seed=given.seed)
        print(f"ready after {time.perf_counter() - started:.0f} s")
        sizes = server.run("SELECT table, sum(rows), formatReadableSize(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table")  # fmt: skip
        for table, rows, size in sizes.rows:
            print(f"{table}: {int(rows):,} rows, {size}")


if __name__ == "__main__":
    main()
