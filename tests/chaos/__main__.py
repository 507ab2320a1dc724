"""Kill and freeze the service, fault after fault, and print what was acknowledged, seen and recovered.

`python -m tests.chaos [--only FAULT …] [--list]`: exit 0 when no promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
import time
from pathlib import Path

import httpx2

from segment_copilot.embedded import start_engines
from segment_copilot.telemetry.logs import configure_logging
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.judging import PATIENCE_SECONDS, RECOVERY_SECONDS, judge, left_members, recover, time_until
from tests.chaos.load import SEGMENTS, Load
from tests.chaos.report import Row, write_row, write_title
from tests.chaos.service import Service, Stores, run_service
from tests.chaos.unmigrated import UNMIGRATED, try_unmigrated
from tests.support.engines import data_directory

_CALM_SECONDS = 2.0  # of load before a fault and after it


async def make_segments(service: Service) -> dict[str, int]:
    """Save the segments that the clients read and compute; return their ids by name."""
    headers = {"Authorization": f"ApiKey {service.key}"}
    async with httpx2.AsyncClient(base_url=service.api.url, headers=headers, timeout=30) as client:
        ids: dict[str, int] = {}
        for name, definition in SEGMENTS.items():
            answer = await client.post("/api/segments/", json={"name": name, "definition": definition})
            ids[name] = answer.raise_for_status().json()["id"]
    return ids


async def try_fault(service: Service, fault: Fault, segments: dict[str, int]) -> Row:
    """Plant *fault* under load, undo it, and see what it did."""
    logged = {process: process.size() for process in (service.api, service.worker)}
    load = Load(service.api.url, service.key, run=fault.name, segments=segments, may_hang_up=fault.may_hang_up)
    async with load.running():
        await asyncio.sleep(_CALM_SECONDS)
        began = time.monotonic()
        async with fault.plant(service):
            await asyncio.sleep(fault.seconds)
        lasted = time.monotonic() - began
        recovery = await recover(service)
        await asyncio.sleep(_CALM_SECONDS)
    wrong = await judge(service, load, run=fault.name, segments=segments, refused=fault.refused)
    if fault.refused:
        wrong += await mend(service)
    wrong = [*load.broken, *wrong]
    if recovery.seconds > RECOVERY_SECONDS:
        wrong.append(f"recovered after {recovery.seconds:.1f} s")
    for process, size in logged.items():
        wrong += [
            f"{process.role} logged {line[:400]}" for line in process.errors(since=size) if "event.failed" not in line
        ]
    return Row(fault.name, fault.words, lasted, load, recovery, wrong)


async def mend(service: Service) -> list[str]:
    """Mend the event that ClickHouse refused and try it again, as an operator does; return what is wrong then."""
    await service.resources.postgres.execute("UPDATE events SET payload = '{}' WHERE event_id = 'refused'")
    await service.command("events", "retry")

    async def forwarded() -> bool:
        status = await service.resources.ingestion.status(service.tenant)
        return not status.pending and not status.failed

    stuck = await time_until(forwarded, since=time.monotonic())
    return [f"not forwarded {stuck:.0f} s after its retry"] if stuck >= PATIENCE_SECONDS else []


async def run(faults: list[Fault], *, unmigrated: bool, directory: Path) -> list[Row]:
    rows: list[Row] = []
    engines = await asyncio.to_thread(start_engines, directory / "engines")
    try:
        stores = Stores(engines.database_url, engines.clickhouse_url)
        async with run_service(engines, directory, stores) as service:
            await service.command("migrate")
            await service.make_tenant("chaos")
            await service.start_all()
            segments = await make_segments(service)
            for proxied, those in itertools.groupby(faults, key=lambda fault: fault.proxied):
                async with service.proxied() if proxied else contextlib.nullcontext():
                    for fault in those:
                        rows.append(await try_fault(service, fault, segments))
                        write_row(rows[-1])
            if rows:
                rows[-1].wrong.extend(await left_members(service))
                rows[-1].wrong.extend(await service.stop_all())
        if unmigrated:
            rows.append(await try_unmigrated(engines, directory))
            write_row(rows[-1])
    finally:
        await asyncio.to_thread(engines.stop)
    return rows


def main() -> int:
    """Return the exit code."""
    names = [fault.name for fault in FAULTS] + [UNMIGRATED]
    parser = argparse.ArgumentParser(prog="make chaos", description="Plant faults in a running service under load.")
    parser.add_argument("--only", nargs="+", choices=names, metavar="FAULT", default=names, help="plant these alone")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    parser.add_argument("--keep", type=Path, help="keep the logs of the processes in this directory")
    arguments = parser.parse_args()
    if arguments.list:
        sys.stdout.write("".join(f"{fault.name:20}{fault.words}\n" for fault in FAULTS))
        sys.stdout.write(f"{UNMIGRATED:20}a worker started before `migrate`\n")
        return 0
    configure_logging(level="error", form="console")
    started = time.monotonic()
    write_title()
    wanted = [fault for fault in FAULTS if fault.name in arguments.only]
    with data_directory() as directory:
        rows = asyncio.run(run(wanted, unmigrated=UNMIGRATED in arguments.only, directory=directory))
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            for log in directory.glob("*.log"):
                (arguments.keep / log.name).write_bytes(log.read_bytes())
    broken = [f"{row.name}: {sentence}" for row in rows for sentence in row.wrong]
    sys.stdout.write(f"\n{len(rows)} faults in {time.monotonic() - started:.0f} s, {len(broken)} promises broken\n")
    sys.stdout.write("".join(f"- {sentence}\n" for sentence in broken[:100]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
