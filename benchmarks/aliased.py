"""Measure what identity costs: `python benchmarks/aliased.py`.

Every shape of `audiences/` is compiled twice: as for a tenant without links, and resolving a tenth of its user ids to
others. They run in turns on one engine with warm data; what is compared is the median of the rounds, the first left out.
Each query answers only how many members it found; before that, the linked one has to find as many persons as one over
a copy of the tables in which every row has its person's key already. Ratios compare within a run.
"""

from __future__ import annotations

import argparse
import re
import statistics
from importlib.resources import files
from pathlib import Path

import msgspec

from compare import machine
from data import AS_OF, SEED, TENANT, fill
from segment_copilot import compiler
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog, SegmentName
from segment_copilot.stores import migrations
from segment_copilot.stores.literals import lower
from server import Server, serving
from shapes import Shape, read_shapes

MEGABYTE = 2**20
APART, LINKED = "apart", "linked"
KEY = "if(links.person_key = 0, stored.user_key, links.person_key)"


class Measured(msgspec.Struct, frozen=True):
    """One shape: its members without links and with them, and by query the median seconds, of CPU too, and of memory."""

    name: str
    members: dict[str, int]
    seconds: dict[str, float]
    cpu: dict[str, float]
    memory: dict[str, float]


def link(server: Server) -> tuple[int, int]:
    """Link every user whose id ends with 7 to the one whose ends with 1 instead; how many there are, and of how many."""
    text = files(migrations).joinpath("clickhouse/0005_identity.sql").read_text()
    for statement in migrations.statements(text.replace("{on_cluster}", "").replace("{engine}", "")):
        server.run(statement)
    server.run("TRUNCATE TABLE identity_links")
    server.run(
        "INSERT INTO identity_links (tenant_id, alias_id, person_id, version) "
        "SELECT tenant_id, user_id, concat(substring(user_id, 1, length(user_id) - 1), '1'), 1 FROM users FINAL "
        f"WHERE tenant_id = {TENANT} AND endsWith(user_id, '7')"
    )
    count = "SELECT count() FROM {} WHERE tenant_id = " + str(TENANT)
    links, users = (int(server.run(count.format(table)).rows[0][0]) for table in ("identity_links", "users FINAL"))
    return links, users


def move(server: Server) -> None:
    """Copy the tables into others in which every row has its person's key: what the linked queries are checked by."""
    columns = {
        "events": "tenant_id, event_type, user_key, occurred_at, event_id, payload",
        "traits": "tenant_id, property, user_key, occurred_at, event_id, value",
        "traits_current": "tenant_id, property, user_key, version, occurred_at, is_exact, value",
        "users": "tenant_id, user_key, user_id, first_seen, last_seen",
    }
    for table, names in columns.items():
        server.run(f"DROP TABLE IF EXISTS moved_{table}")
        server.run(f"CREATE TABLE moved_{table} AS {table}")
        selected = names.replace("user_key", f"{KEY} AS user_key")
        if table == "users":
            selected = selected.replace(
                "user_id", "if(links.person_key = 0, stored.user_id, links.person_id) AS user_id"
            )
        server.run(
            f"INSERT INTO moved_{table} ({names}) SELECT {selected} FROM {table} AS stored "
            "LEFT ANY JOIN (SELECT alias_key, person_key, person_id FROM identity_links FINAL) AS links ON stored.user_key = links.alias_key "
            f"WHERE tenant_id = {TENANT}",
            max_partitions_per_insert_block=0,
        )


def compiled_sql(shape: Shape, *, linked: bool, events: int) -> list[str]:
    """A query for every range of users."""
    decoded = {number: parse(msgspec.json.encode(definition)) for number, definition in shape.references.items()}
    references = {number: parsed.definition for number, parsed in decoded.items() if parsed.definition is not None}
    catalog = Catalog(segments={number: SegmentName(number, f"segment {number}") for number in references})
    compiled = compiler.compile_definition(
        parse(msgspec.json.encode(shape.definition)),
        catalog=catalog,
        references=references,
        tenant_id=TENANT,
        as_of=AS_OF,
        linked=linked,
    )
    ranges = compiler.key_ranges(compiled.plan, events=events)
    queries = [compiler.render_keys(compiled.plan, keys=keys) for keys in ranges]
    return [lower(query.sql, query.params) for query in queries]


def measure(server: Server, shape: Shape, *, rounds: int, events: int) -> Measured:
    """Check, then time in turns."""
    queries = {APART: compiled_sql(shape, linked=False, events=events)}
    queries[LINKED] = compiled_sql(shape, linked=True, events=events)
    members = {name: count(server, parts) for name, parts in queries.items()}
    moved = count(server, [re.sub(r"\bFROM (?=\w)", "FROM moved_", sql) for sql in queries[APART]])
    if members[LINKED] != moved:
        raise SystemExit(f"{shape.name}: linked finds {members[LINKED]}, over moved rows there are {moved}")
    seconds: dict[str, list[float]] = {name: [] for name in queries}
    cpu: dict[str, list[float]] = {name: [] for name in queries}
    memory: dict[str, list[int]] = {name: [] for name in queries}
    for turn in range(rounds + 1):
        for name, parts in queries.items():
            before = server.cpu()
            answers = [server.run(f"SELECT count() FROM ({sql})") for sql in parts]
            if turn:
                seconds[name].append(sum(answer.seconds for answer in answers))
                cpu[name].append(server.cpu() - before)
                memory[name].append(max(answer.memory for answer in answers))
    medians, of_cpu = ({name: statistics.median(taken) for name, taken in each.items()} for each in (seconds, cpu))
    peaks = {name: statistics.median(used) / MEGABYTE for name, used in memory.items()}
    return Measured(shape.name, members, medians, of_cpu, peaks)


def count(server: Server, parts: list[str]) -> int:
    """How many members the queries find."""
    return sum(int(server.run(f"SELECT count() FROM ({sql})").rows[0][0]) for sql in parts)


def table(measured: list[Measured]) -> str:
    """As Markdown."""
    lines = [
        "| audience | users apart | persons | apart ms | linked ms | linked ÷ apart | CPU, linked ÷ apart | MB apart / linked |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    ratios = [(one.seconds[LINKED] / one.seconds[APART], one.cpu[LINKED] / one.cpu[APART]) for one in measured]
    for one, (ratio, of_cpu) in zip(measured, ratios, strict=True):
        lines.append(
            f"| {one.name} | {one.members[APART]:,} | {one.members[LINKED]:,} | {one.seconds[APART] * 1000:.0f} "
            f"| {one.seconds[LINKED] * 1000:.0f} | {ratio:.2f} | {of_cpu:.2f} | {one.memory[APART]:.0f} / {one.memory[LINKED]:.0f} |"
        )
    times, cpus = (f"{statistics.geometric_mean(each):.2f}" for each in zip(*ratios, strict=True))
    lines.append(f"| **geometric mean** | | | | | **{times}** | **{cpus}** | |")
    return "\n".join(lines)


def main() -> None:
    """Fill, link, check, measure and print."""
    parser = argparse.ArgumentParser(description="Compare audiences of linked ids with those of ids that are apart.")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"), help="where ClickHouse keeps its files")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rounds", type=int, default=5, help="warm runs of each query")
    parser.add_argument("--only", default="", help="shapes whose name contains one of these, as in 06,leaves")
    given = parser.parse_args()
    with serving(given.data) as server:
        fill(server, events=given.events, users=given.users, seed=given.seed)
        links, users = link(server)
        move(server)
        shapes = [shape for shape in read_shapes() if any(part in shape.name for part in given.only.split(","))]
        measured = [measure(server, shape, rounds=given.rounds, events=given.events) for shape in shapes]
        print(table(measured))
        print(f"\nClickHouse {server.version}; {machine()}; {links:,} of {users:,} ids are linked to another.")


if __name__ == "__main__":
    main()
