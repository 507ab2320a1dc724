"""`make segops`: call every method of SegOps' SDKs against a service of its own, and write docs/segops.md."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from segment_copilot.activations.secrets import new_key
from segment_copilot.commands.serving import running
from segment_copilot.embedded import start_engines
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging
from tests.service.segops.matrix import Outcome, page, run
from tests.service.segops.world import World
from tests.support.engines import data_directory

PAGE = Path(__file__).parents[3] / "docs" / "segops.md"


async def outcomes() -> list[Outcome]:
    """How every call went, against engines, API and worker that live as long as this."""
    with data_directory() as directory, start_engines(directory) as engines, tempfile.TemporaryDirectory() as scratch:
        settings = Settings(
            database_url=engines.database_url,
            clickhouse_url=engines.clickhouse_url,
            port=0,
            secrets_keys=(new_key(),),
            files_directory=str(directory / "files"),
            refresh_default="manual",
        )
        async with open_resources(settings) as resources:
            await migrate(resources.postgres, resources.clickhouse)
            key = (await resources.keys.create(await resources.tenants.create("shop")))[1]
        async with running(settings) as (url, _):
            world = World(url, key, Path(scratch))
            await asyncio.to_thread(world.remember)
            return await asyncio.to_thread(run, world)


def main() -> int:
    """Write the page; exit with 1 if a call failed."""
    configure_logging(level="error", form="console")
    found = asyncio.run(outcomes())
    PAGE.write_text(page(found))
    for outcome in found:
        print(f"{'no ' if outcome.failure else 'yes'} {outcome.method}  {outcome.route}  {outcome.failure}")  # noqa: T201
    return int(any(outcome.failure for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
