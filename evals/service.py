"""Opens the service under evaluation: started here on embedded engines with its fixtures, or one that already runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
import stamina
from msgspec import Struct, structs

from evals.client import HarnessError, Workspace, pages
from evals.definitions import SegmentIds, with_ids
from evals.fixtures.rows import AS_OF, Dataset, DatasetName
from segment_copilot.commands.serving import migrate_stores, running
from segment_copilot.embedded import start_engines
from segment_copilot.errors import NotFound, SegmentCopilotError
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings, read_settings
from segment_copilot.telemetry.logs import configure_logging

BATCH: Final = 5_000
_READY_SECONDS: Final = 30.0
_LOADED_SECONDS: Final = 120.0

Progress = Callable[[str], None]


class Loaded(Struct, frozen=True):
    """Engines that hold the fixtures, and a key for each workspace, by its slug."""

    settings: Settings
    keys: Mapping[str, str]


class Service(Struct, frozen=True):
    """A running service: workspaces by (tenant, dataset), and the model that answers."""

    url: str
    model: str
    workspaces: Mapping[tuple[str, str], Workspace]

    def workspace(self, tenant: str, dataset: DatasetName = "believable") -> Workspace:
        """Return the workspace of *dataset* of *tenant*."""
        try:
            return self.workspaces[tenant, dataset]
        except KeyError:
            raise HarnessError(
                f"There is no key for evals-{tenant}-{dataset}; `python -m evals load` makes them."
            ) from None


@contextlib.contextmanager
def embedded_engines() -> Generator[Settings]:
    """Start PostgreSQL and ClickHouse in a temporary directory, gone afterwards. Raises HarnessError when they cannot run."""
    configure_logging(level="error", form="console")
    directory = Path(tempfile.mkdtemp(prefix="segment-copilot-evals-"))
    directory.chmod(0o711)  # PostgreSQL runs as nobody when this runs as root
    try:
        with start_engines(directory, durable=False) as engines:
            yield Settings(
                database_url=engines.database_url,
                clickhouse_url=engines.clickhouse_url,
                port=0,
                copilot_model="offline",
            )
    except SegmentCopilotError as error:
        raise HarnessError(f"The engines do not start: {error.detail}") from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def load(settings: Settings, wanted: Sequence[Dataset], *, url: str = "", say: Progress = print) -> Loaded:
    """Make the workspaces in the stores of *settings* and send everything through the service.

    *url* is a service on these stores; without it one is started for the while. A workspace that is there already is
    taken as it is, and only gets a new key.
    """
    await migrate_stores(settings)
    keys, new = await _register(settings, wanted)
    async with contextlib.AsyncExitStack() as stack:
        if not url:
            url, _ = await stack.enter_async_context(running(structs.replace(settings, port=0)))
        fresh = [dataset for dataset in wanted if dataset.slug in new]
        await _each(_send_events, fresh, url, keys)
        say(f"sent {sum(len(dataset.rows) for dataset in fresh):,} events of {len(fresh)} workspaces")
        for dataset in fresh:  # one after the other, so that their segments have the same ids on every fresh machine
            async with _client(url, keys[dataset.slug]) as client:
                await _save_segments(client, dataset)
        await _each(_compute, fresh, url, keys)
    return Loaded(settings, keys)


async def _each(
    do: Callable[[httpx2.AsyncClient, Dataset], Awaitable[None]],
    wanted: Sequence[Dataset],
    url: str,
    keys: Mapping[str, str],
) -> None:
    """Do the same for all datasets at once: each mostly waits for the worker."""

    async def one(dataset: Dataset) -> None:
        async with _client(url, keys[dataset.slug]) as client:
            await do(client, dataset)

    async with asyncio.TaskGroup() as group:
        for dataset in wanted:
            group.create_task(one(dataset))


async def _register(settings: Settings, wanted: Sequence[Dataset]) -> tuple[dict[str, str], set[str]]:
    """Make tenants and keys, for which the service has no endpoint, and the event schemas with them."""
    keys: dict[str, str] = {}
    new = set[str]()
    async with open_resources(settings) as resources:
        for dataset in wanted:
            try:
                tenant = await resources.tenants.get(dataset.slug)
            except NotFound:
                tenant = await resources.tenants.create(dataset.slug, timezone=dataset.timezone)
                new.add(dataset.slug)
            _, keys[dataset.slug] = await resources.keys.create(tenant, kind="secret", name="evals")
            for schema in dataset.schemas:
                await resources.schemas.save(
                    tenant,
                    event_type=schema.event_type,
                    description=schema.description,
                    properties=schema.properties,
                )
    return keys, new


async def _send_events(client: httpx2.AsyncClient, dataset: Dataset) -> None:
    """Send all events, and wait until every one can be queried."""
    events = [
        {
            "event_id": f"{dataset.name}-{number:06d}",
            "user_id": row.user_id,
            "event_type": row.event_type,
            "occurred_at": row.occurred_at.isoformat(),
            "payload": row.payload,
        }
        for number, row in enumerate(dataset.rows)
    ]
    for start in range(0, len(events), BATCH):
        answer = await _posted(client, "/api/ingestion/track/batch/", {"events": events[start : start + BATCH]}, 202)
        if answer["skipped"]:
            raise HarnessError(f"{dataset.slug}: {answer['skipped']} events were skipped: {answer['errors'][:2]}")
    await _forwarded(client)


async def _save_segments(client: httpx2.AsyncClient, dataset: Dataset) -> None:
    ids: dict[str, int] = {}
    for segment in dataset.segments:
        definition = with_ids(segment.definition, SegmentIds(ids))
        body = {"name": segment.name, "description": segment.description, "definition": definition}
        ids[segment.name] = (await _posted(client, "/api/segments/", body, 201))["id"]


async def _compute(client: httpx2.AsyncClient, dataset: Dataset) -> None:
    """Compute the segments as of the frozen instant, and those with a history as of some days before it."""
    ids = {segment["name"]: segment["id"] async for segment in pages(client, "/api/segments/")}
    for days in dataset.computed_days:
        for name in ids if days == 0 else dataset.trends:
            as_of = (AS_OF - timedelta(days=days)).isoformat()
            await _posted(client, f"/api/segments/{ids[name]}/compute/", {"as_of": as_of}, 202)
        await _settled(client)


class _NotYet(Exception):
    """The service is not done yet: ask again in a moment."""


def _until() -> Any:
    return stamina.retry_context(on=_NotYet, timeout=_LOADED_SECONDS, attempts=None, wait_initial=0.02, wait_max=0.25)


async def _posted(client: httpx2.AsyncClient, path: str, body: Any, status: int) -> dict[str, Any]:
    """Return the answer; where a store is away (503, and nothing was done) it is asked again, as any client would."""
    content = msgspec.json.encode(body)
    async for attempt in _until():
        with attempt:
            response = await client.post(path, content=content, headers={"content-type": "application/json"})
            if response.status_code == _AWAY and attempt.num < _ATTEMPTS:
                raise _NotYet
            if response.status_code != status:
                raise HarnessError(f"POST {path} answered {response.status_code}: {response.text[:500]}")
            return response.json()
    raise AssertionError


_AWAY: Final = 503
_ATTEMPTS: Final = 20


async def _forwarded(client: httpx2.AsyncClient) -> None:
    async for attempt in _until():
        with attempt:
            if (await client.get("/api/ingestion/status/")).json()["pending"]:
                raise _NotYet


async def _settled(client: httpx2.AsyncClient) -> None:
    """Wait until nothing is queued or being computed."""
    async for attempt in _until():
        with attempt:
            states = {segment["status"] async for segment in pages(client, "/api/segments/")}
            if "failed" in states:
                raise HarnessError("A segment of the fixtures could not be computed.")
            if states & {"queued", "computing"}:
                raise _NotYet


def model_settings(model: str) -> dict[str, Any]:
    """Return the settings of the started service for *model*; those of claude come from the environment. Raises HarnessError."""
    if model.startswith("offline"):
        return {"copilot_model": model}
    given = read_settings(os.environ)
    if not given.anthropic_api_key:
        raise HarnessError("A run with claude needs ANTHROPIC_API_KEY.")
    names = ("anthropic_api_key", "anthropic_base_url", "claude_model", "claude_effort")
    return {"copilot_model": "claude", **{name: getattr(given, name) for name in names}}


@contextlib.asynccontextmanager
async def serving(loaded: Loaded, **changes: Any) -> AsyncGenerator[Service]:
    """Run the service in this process over *loaded* stores; *changes* are settings, such as the model."""
    async with contextlib.AsyncExitStack() as stack:
        url, _ = await stack.enter_async_context(running(structs.replace(loaded.settings, port=0, **changes)))
        yield await stack.enter_async_context(connected(url, loaded.keys))


@contextlib.asynccontextmanager
async def connected(url: str, keys: Mapping[str, str]) -> AsyncGenerator[Service]:
    """Connect to a service that runs at *url*; *keys* by the slug of the workspace. Raises HarnessError when it does not answer."""
    async with contextlib.AsyncExitStack() as stack:
        workspaces: dict[tuple[str, str], Workspace] = {}
        model = ""
        for slug, key in keys.items():
            client = await stack.enter_async_context(_client(url, key))
            await _ready(client, url)
            ids = {segment["name"]: segment["id"] async for segment in pages(client, "/api/segments/")}
            _, tenant, dataset = slug.split("-")
            workspaces[tenant, dataset] = Workspace(client, slug=slug, segments=SegmentIds(ids))
            model = model or (await client.get("/api/copilot/capabilities/")).json()["model"]
        yield Service(url, model, workspaces)


async def _ready(client: httpx2.AsyncClient, url: str) -> None:
    """Wait for a service that was just started: its socket listens before it does."""
    try:
        answer = await client.get("/health/ready", timeout=_READY_SECONDS)
    except httpx2.HTTPError as error:
        raise HarnessError(f"{url} does not answer: {error}") from error
    if not answer.is_success:
        raise HarnessError(f"{url} is not ready: {answer.status_code}.")


def _client(url: str, key: str) -> httpx2.AsyncClient:
    headers = {"Authorization": f"ApiKey {key}"}
    return httpx2.AsyncClient(base_url=url, headers=headers, timeout=httpx2.Timeout(10, read=150))


def keys_from(given: Iterable[str]) -> dict[str, str]:
    """Read keys as the command line takes them: `SLUG=KEY`, or `@FILE` with a JSON object. Raises HarnessError."""
    found: dict[str, str] = {}
    for one in given:
        try:
            if one.startswith("@"):
                found |= msgspec.json.decode(Path(one[1:]).read_bytes(), type=dict[str, str])
            else:
                slug, key = one.split("=", 1)
                found[slug] = key
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise HarnessError(f"A key is SLUG=KEY or @FILE, a JSON object: {error}") from error
    return found
