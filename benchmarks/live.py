"""Refresh many segments of one tenant for everybody, and for some users only: `python benchmarks/live.py`.

The segments are those of `together.py`. For everybody, each of their slots is asked once over all rows. For some, the users
with the newest events, and those whom the clock moved in the minutes before, are copied and asked by the same SQL
(docs/decisions/0021-live-refresh.md). The members among them must be the same. Measured is the CPU time of the server.
"""

from __future__ import annotations

import argparse
import statistics
from datetime import timedelta
from pathlib import Path

from compare import machine
from data import AS_OF, SEED, TENANT, fill
from segment_copilot import compiler
from segment_copilot.compiler import CompiledQuery, Move, Plan
from segment_copilot.stores.literals import lower
from server import Server, serving
from together import runs

TOUCHED = (50, 500, 5_000, 50_000)
MINUTES = (1, 180)
SEGMENTS = (1, 10, 50, 200)
TABLES = (
    "touched",
    "touched_persons",
    "touched_keys",
    "touched_events",
    "touched_traits",
    "touched_traits_current",
    "touched_users",
    "touched_identity_links",
    "shared_slots",
    "shared_members",
)
NEWEST = f"""INSERT INTO touched SELECT users.user_id FROM (
    SELECT user_key FROM events WHERE tenant_id = {TENANT} AND occurred_at <= '{AS_OF:%Y-%m-%d %H:%M:%S}'
    GROUP BY user_key ORDER BY max(occurred_at) DESC, user_key LIMIT {{}}) AS newest
JOIN (SELECT user_key, any(user_id) AS user_id FROM users WHERE tenant_id = {TENANT} GROUP BY user_key) AS users USING (user_key)"""
CHECK = "SELECT segment_id, count(), sum(sipHash64(user_key)) FROM shared_members {} GROUP BY segment_id ORDER BY segment_id"
AMONG = "WHERE user_key IN (SELECT user_key FROM touched_persons)"


class Session:
    """Temporary tables of one measurement; `seconds` is the CPU time of what was run in it, by step."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.seconds = dict[str, float]()

    def run(self, step: str, *statements: CompiledQuery | str) -> list[list[str]]:
        """Run statements; return the rows of the last."""
        before, rows = self._server.cpu(), list[list[str]]()
        for one in statements:
            text = one if isinstance(one, str) else lower(one.sql, one.params)
            rows = self._server.run(text, session_id="live").rows
        self.seconds[step] = self.seconds.get(step, 0) + self._server.cpu() - before
        return rows

    def close(self) -> None:
        """Drop what is there."""
        for table in TABLES:
            self._server.run(f"DROP TEMPORARY TABLE IF EXISTS {table}", session_id="live")


def everybody(session: Session, plans: list[Plan]) -> None:
    """Find all members."""
    shared = compiler.SharedSlots(plans)
    session.run("slots", shared.create())
    session.run("trees", shared.create_members(range(len(plans))))


def some(session: Session, earlier: list[Plan], later: list[Plan], *, touched: int) -> int:
    """Find the members among some; return how many these are."""
    found = [compiler.moves_between(*plans) for plans in zip(earlier, later, strict=True)]
    moves = frozenset[Move]().union(*(one or () for one in found))
    session.run("", compiler.CREATE_TOUCHED, NEWEST.format(touched))
    session.seconds.clear()  # who was touched is known from PostgreSQL
    session.run("who", *compiler.render_persons(later[0], moves, since=earlier[0].as_of))
    persons = int(session.run("who", "SELECT count() FROM touched_persons")[0][0])
    session.run("copy", *compiler.render_copies(later))
    shared = compiler.SharedSlots(later, names=compiler.TOUCHED)
    session.run("slots", shared.create())
    session.run("trees", shared.create_members(range(len(later))))
    return persons


def main() -> None:
    """Fill, refresh both ways, compare and print."""
    parser = argparse.ArgumentParser(description="Refresh many segments for everybody, and for some users only.")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"), help="where ClickHouse keeps its files")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with serving(given.data) as server:
        fill(server, events=given.events, users=given.users, seed=given.seed)
        print(
            f"{machine()}, ClickHouse {server.version}; {given.events:,} events, {given.users:,} users; CPU seconds of the "
        )
        print(f"server, median of {given.rounds} after a first\n")
        print(
            "| segments | everybody | touched | the clock's step | evaluated | who | copy | slots | trees | together | of everybody |"
        )
        print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
        for number in SEGMENTS:
            measure(server, number, seed=given.seed, rounds=given.rounds, users=given.users)


def measure(server: Server, number: int, *, seed: int, rounds: int, users: int) -> None:
    """Measure and print so many segments."""
    later = [run.plan for run in runs(number, seed)]
    session = Session(server)
    totals = list[float]()
    for _ in range(rounds + 1):
        session.seconds.clear()
        everybody(session, later)
        totals.append(sum(session.seconds.values()))
        session.close()
    full = statistics.median(totals[1:])
    for touched in TOUCHED:
        for minutes in MINUTES if touched == TOUCHED[1] else MINUTES[:1]:
            if touched > users // 2:
                continue
            earlier = [run.plan for run in runs(number, seed, as_of=AS_OF - timedelta(minutes=minutes))]
            steps, persons = list[dict[str, float]](), 0
            for _ in range(rounds + 1):
                persons = some(session, earlier, later, touched=touched)
                steps.append(dict(session.seconds))
                found = session.run("check", CHECK.format(""))
                server.run("DROP TEMPORARY TABLE shared_slots", session_id="live")
                server.run("DROP TEMPORARY TABLE shared_members", session_id="live")
                if len(steps) == 1:
                    everybody(session, later)
                    if session.run("check", CHECK.format(AMONG)) != found:
                        raise SystemExit("the members differ")
                session.close()
            median = {step: statistics.median(one[step] for one in steps[1:]) for step in steps[0]}
            whole = sum(median.values())
            cells = [number, f"{full:.2f}", f"{touched:,}", f"{minutes} min", f"{persons:,}"]
            cells += [f"{median[step]:.2f}" for step in ("who", "copy", "slots", "trees")]
            print(f"| {' | '.join(map(str, cells))} | {whole:.2f} | {whole / full:.2f} |", flush=True)


if __name__ == "__main__":
    main()
