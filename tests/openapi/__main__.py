"""`make examples`: tell the story to a service of its own, and write what it answers into the document's examples."""

from __future__ import annotations

import asyncio
import json

import httpx2

from segment_copilot.activations.addresses import LOOPBACK
from segment_copilot.api.http.openapi import EXAMPLES_FILE
from segment_copilot.commands.serving import running
from segment_copilot.embedded import start_engines
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from segment_copilot.telemetry.logs import configure_logging
from tests.openapi.document import document
from tests.openapi.story import STORY
from tests.openapi.telling import Answer, examples_of, tell
from tests.support.engines import data_directory
from tests.support.resources import SECRETS_KEY


async def answers() -> list[Answer]:
    """What a new service answers to the story."""
    with data_directory() as directory, start_engines(directory) as engines:
        settings = Settings(
            database_url=engines.database_url,
            clickhouse_url=engines.clickhouse_url,
            port=0,
            outgoing_allow=LOOPBACK,
            secrets_keys=(SECRETS_KEY,),
            files_directory=str(directory / "files"),
            refresh_default="manual",
        )
        async with open_resources(settings) as resources:
            await migrate(resources.postgres, resources.clickhouse)
            key = (await resources.keys.create(await resources.tenants.create("shop")))[1]
        async with running(settings) as (url, _):
            headers = {"Authorization": f"ApiKey {key}"}
            async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
                return await tell(client, document())


if __name__ == "__main__":
    configure_logging(level="error", form="console")
    told = asyncio.run(answers())
    failed = [answer for answer in told if answer.status >= 300 and not answer.step.may_refuse]
    for answer in failed:
        print(answer.step.operation, answer.status, answer.content)  # noqa: T201
    if not failed:
        before = json.loads(EXAMPLES_FILE.read_bytes())
        kept = {step.operation: before[step.operation] for step in STORY if step.operation in before}
        text = json.dumps(kept | examples_of(told), indent=1, ensure_ascii=False, sort_keys=True)
        EXAMPLES_FILE.write_text(text + "\n")
    raise SystemExit(bool(failed))
