"""Plant fault after fault in the running service, and tell what was acknowledged, seen, recovered and left behind.

`python -m tests.chaos [--only FAULT …] [--list] [--write FILE]`: exit 0 when no promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from segment_copilot.activations.secrets import new_key
from segment_copilot.embedded import start_engines
from segment_copilot.telemetry.logs import configure_logging
from tests.chaos.clocks import movable_clock
from tests.chaos.disks import own_disks
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.judging import PATIENCE_SECONDS, RECOVERY_SECONDS, judge, left_members, recover, time_until
from tests.chaos.leaks import count_held, left_behind
from tests.chaos.load import Load
from tests.chaos.network import NETWORK
from tests.chaos.receiving import MoodyReceiver
from tests.chaos.report import Row, line, title, write
from tests.chaos.service import Service, Stores, run_service
from tests.chaos.sharded import MESSAGES, POSTGRES, start_sharded
from tests.chaos.streams import Streams
from tests.chaos.told import make_segments, wrong_told
from tests.chaos.unmigrated import UNMIGRATED, try_unmigrated
from tests.support.engines import data_directory
from tests.support.receiver import listening

_CALM_SECONDS = 2.0  # of load before a fault and after it
_MARK = "<!-- made by make chaos -->\n"


class Trial:
    """A running service, its segments and who is told of them; fault after fault is tried on it."""

    def __init__(self, service: Service, receiver: MoodyReceiver) -> None:
        self.service = service
        self.receiver = receiver
        self.segments: dict[str, int] = {}

    async def start(self, slug: str) -> None:
        """Migrate, make the tenant and its segments, and start API and worker."""
        await self.service.command("migrate")
        await self.service.make_tenant(slug)
        await self.service.start_all()
        self.segments = await make_segments(self.service, self.receiver)

    async def try_fault(self, fault: Fault) -> Row:
        """Plant *fault* under load, undo it, and see what it did."""
        service, receiver = self.service, self.receiver
        logged = {process: process.size() for process in (service.api, service.worker)}
        before, told = await count_held(service), len(receiver.taken)
        load = Load(service.api.url, service.key, run=fault.name, segments=self.segments, may_hang_up=fault.may_hang_up)
        streams = Streams(service.api.url, service.key, may_hang_up=fault.may_hang_up)
        async with load.running(), streams.running():
            await asyncio.sleep(_CALM_SECONDS)
            began = time.monotonic()
            async with fault.plant(service):
                await asyncio.sleep(fault.seconds)
            lasted = time.monotonic() - began
            recovery = await recover(service)
            await asyncio.sleep(_CALM_SECONDS)
        wrong = await judge(service, load, run=fault.name, segments=self.segments, refused=fault.refused)
        if fault.refused:
            wrong += await mend(service)
        wrong = [*load.broken, *streams.broken, *wrong, *_undegraded(fault, load)]
        if recovery.seconds > RECOVERY_SECONDS:
            wrong.append(f"recovered after {recovery.seconds:.1f} s")
        for process, size in logged.items():
            wrong += [
                f"{process.role} logged {line[:400]}"
                for line in process.errors(since=size)
                if "event.failed" not in line
            ]
        wrong += await wrong_told(service, receiver, self.segments)
        wrong += await left_behind(service, before)
        count = len(receiver.taken) - told
        return Row(fault.name, fault.words, lasted, load, streams.ends, streams.slowest, count, recovery, wrong)


def _undegraded(fault: Fault, load: Load) -> list[str]:
    """Return what could have been answered and was not, and what was refused without its reason."""
    if not fault.target:
        return []
    wrong = list[str]()
    if fault.target != POSTGRES and load.unread:
        wrong.append(f"the list of segments was not answered {load.unread} times, which needs PostgreSQL alone")
    if fault.target == MESSAGES and load.refusals:
        wrong.append(f"refused for want of the model, which only the copilot needs: {dict(load.refusals)}")
    unnamed = [said for said in load.refusals if fault.target.lower() not in said.lower()]
    if fault.target not in {POSTGRES, MESSAGES} and unnamed:
        wrong.append(f"refused without the name of {fault.target}: {unnamed[0]}")
    return wrong


async def mend(service: Service) -> list[str]:
    """Mend the event that ClickHouse refused and try it again, as an operator does; return what is wrong then."""
    await service.resources.postgres.execute("UPDATE events SET payload = '{}' WHERE event_id = 'refused'")
    await service.command("events", "retry")

    async def forwarded() -> bool:
        status = await service.resources.ingestion.status(service.tenant)
        return not status.pending and not status.failed

    stuck = await time_until(forwarded, since=time.monotonic())
    return [f"not forwarded {stuck:.0f} s after its retry"] if stuck >= PATIENCE_SECONDS else []


async def run_single(faults: Sequence[Fault], directory: Path, settings: dict[str, str], rows: list[Row]) -> None:
    """Try *faults* of processes and engines on one server of each."""
    receiver = MoodyReceiver(1)
    receiver.is_moody = False
    clock = movable_clock(directory)
    with own_disks(directory / "engines") as has_disks:
        lacking = {"clock": not clock, "disks": not has_disks}
        for fault in faults:
            if lacking.get(fault.needs):
                write(f"| {fault.words} (`{fault.name}`) | NOT RUN: this machine has no {fault.needs} |\n")
        can = [fault for fault in faults if not lacking.get(fault.needs)]
        await _run_single(can, directory, settings | clock, receiver, rows)


async def _run_single(
    faults: Sequence[Fault], directory: Path, settings: dict[str, str], receiver: MoodyReceiver, rows: list[Row]
) -> None:
    engines = await asyncio.to_thread(start_engines, directory / "engines")
    try:
        stores = Stores(engines.database_url, engines.clickhouse_url)
        async with listening(receiver), run_service(engines, directory, stores, settings) as service:
            trial = Trial(service, receiver)
            await trial.start("chaos")
            for proxied, those in itertools.groupby(faults, key=lambda fault: fault.proxied):
                async with service.proxied() if proxied else contextlib.nullcontext():
                    await _try_all(trial, list(those), rows)
    finally:
        await asyncio.to_thread(engines.stop)


async def run_sharded(faults: Sequence[Fault], directory: Path, settings: dict[str, str], rows: list[Row]) -> None:
    """Try *faults* of the network on two shards, with everything behind a proxy of its own."""
    receiver = MoodyReceiver(2)
    receiver.is_moody = False
    await asyncio.to_thread(directory.mkdir, 0o711)
    async with start_sharded(directory) as sharded, listening(receiver):
        own = settings | sharded.settings
        direct = Stores(sharded.engines.database_url, sharded.stores.clickhouse_url)
        async with run_service(sharded.engines, directory, direct, own) as service:
            service.stores, service.behind = sharded.stores, sharded.proxies
            trial = Trial(service, receiver)
            await trial.start("chaos")
            await _try_all(trial, faults, rows)


async def _try_all(trial: Trial, faults: Sequence[Fault], rows: list[Row]) -> None:
    for fault in faults:
        rows.append(await trial.try_fault(fault))
        write(line(rows[-1]))
        for sentence in rows[-1].wrong[:5]:
            sys.stderr.write(f"  {fault.name}: {sentence}\n")
    if rows:
        rows[-1].wrong.extend(await left_members(trial.service))
        rows[-1].wrong.extend(await trial.service.stop_all())


async def run(wanted: Sequence[str], directory: Path) -> list[Row]:
    """Try the faults that are named."""
    rows: list[Row] = []
    settings = {"SECRETS_KEYS": new_key(), "OUTGOING_ALLOW": "127.0.0.0/8"}
    if single := [fault for fault in FAULTS if fault.name in wanted]:
        await run_single(single, directory, settings, rows)
    if network := [fault for fault in NETWORK if fault.name in wanted]:
        await run_sharded(network, directory / "sharded", settings, rows)
    return rows


def _page(rows: Sequence[Row], broken: Sequence[str], seconds: float) -> str:
    """Return what the page says of this run."""
    load = os.getloadavg()[0]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, load {load:.0f} at the end"
    text = f"{datetime.now(UTC):%Y-%m-%d}, {machine}: {len(rows)} faults in {seconds:.0f} s, {len(broken)} promises broken.\n\n"
    text += title() + "".join(line(row) for row in rows)
    return text + ("\n" + "".join(f"- {sentence}\n" for sentence in broken[:100]) if broken else "")


def main() -> int:
    """Return the exit code."""
    all_faults = {fault.name: fault.words for fault in (*FAULTS, *NETWORK)}
    names = [*all_faults, UNMIGRATED]
    parser = argparse.ArgumentParser(prog="make chaos", description="Plant faults in a running service under load.")
    parser.add_argument("--only", nargs="+", choices=names, metavar="FAULT", default=names, help="plant these alone")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    parser.add_argument("--keep", type=Path, help="keep the logs of the processes in this directory")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    arguments = parser.parse_args()
    if arguments.list:
        sys.stdout.write("".join(f"{name:24}{words}\n" for name, words in all_faults.items()))
        sys.stdout.write(f"{UNMIGRATED:24}a worker started before `migrate`\n")
        return 0
    configure_logging(level="error", form="console")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # mounts and engines end with us
    started = time.monotonic()
    write(title())
    with data_directory() as directory:
        try:
            rows = asyncio.run(run(arguments.only, directory))
            if UNMIGRATED in arguments.only:
                rows.append(asyncio.run(_unmigrated(directory)))
                write(line(rows[-1]))
        finally:
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                for log in directory.rglob("*.log"):
                    (arguments.keep / f"{log.parent.name}-{log.name}").write_bytes(log.read_bytes())
    seconds = time.monotonic() - started
    broken = [f"{row.name}: {sentence}" for row in rows for sentence in row.wrong]
    sys.stdout.write(f"\n{len(rows)} faults in {seconds:.0f} s, {len(broken)} promises broken\n")
    sys.stdout.write("".join(f"- {sentence}\n" for sentence in broken[:100]))
    if arguments.write:
        before = arguments.write.read_text("utf-8").partition(_MARK)[0]
        arguments.write.write_text(f"{before}{_MARK}\n{_page(rows, broken, seconds)}", "utf-8")
    return 1 if broken else 0


async def _unmigrated(directory: Path) -> Row:
    engines = await asyncio.to_thread(start_engines, directory / "unmigrated-engines")
    try:
        return await try_unmigrated(engines, directory)
    finally:
        await asyncio.to_thread(engines.stop)


if __name__ == "__main__":
    sys.exit(main())
