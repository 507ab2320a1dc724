"""Keys on the command line: of every kind, with what they may do, listed, rotated and revoked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from segment_copilot.access.keys import Keys
from segment_copilot.access.scopes import MCP
from segment_copilot.access.tenants import Tenants
from segment_copilot.commands.keyring import keys as commands
from segment_copilot.commands.keyring import tenants as tenant_commands
from segment_copilot.errors import InvalidInput, Unauthenticated
from segment_copilot.stores.postgres import Postgres


@pytest.fixture(scope="module")
async def acme(module_postgres: Postgres) -> None:
    await Tenants(module_postgres).create("acme")


@pytest.fixture
def run(module_database_url: str, acme: None) -> Any:
    async def typed(*words: str, group: Any = commands) -> str:
        """What a command prints."""

        def invoked() -> str:
            told = CliRunner().invoke(group, words, env={"DATABASE_URL": module_database_url}, catch_exceptions=False)
            assert told.exit_code == 0, told.output
            return told.stdout

        return await asyncio.to_thread(invoked)

    return typed


async def test_a_key_is_made_with_what_it_may_do(run, module_postgres):
    keys = Keys(module_postgres)
    reader = json.loads(
        await run("create", "--tenant", "acme", "--scope", "segments:read", "--scope", "members:read", "--json")
    )
    connector = (await run("create", "--tenant", "acme", "--kind", "mcp")).strip()
    viewer = (await run("create", "--tenant", "acme", "--role", "viewer", "--days", "30")).strip()
    page = json.loads(
        await run("create", "--tenant", "acme", "--public", "--origin", "https://shop.example", "--signed", "--json")
    )

    assert (await keys.identify(reader["key"])).scopes == {"segments:read", "members:read"}
    assert (await keys.identify(connector)).scopes == MCP["mcp:read"] | MCP["mcp:write"]
    assert (await keys.identify(viewer)).expires_at is not None
    assert (page["allowed_origins"], page["require_signed_user_id"]) == (["https://shop.example"], True)
    assert len(bytes.fromhex(page["hmac_secret"])) == 32
    with pytest.raises(InvalidInput) as refused:
        await run("create", "--tenant", "acme", "--scope", "segments:reed")
    assert refused.value.findings[0].suggestions[0] == "segments:read"


async def test_a_key_is_rotated_with_a_grace_listed_and_revoked(run, module_postgres):
    keys = Keys(module_postgres)
    old = json.loads(await run("create", "--tenant", "acme", "--name", "old", "--json"))
    new = json.loads(await run("rotate", str(old["id"]), "--tenant", "acme", "--grace", "60", "--json"))
    await run("revoke", str(new["id"]), "--tenant", "acme")
    rows = {line.split("\t")[0]: line.split("\t") for line in (await run("list", "--tenant", "acme")).splitlines()}
    listed = {each["id"]: each for each in json.loads(await run("list", "--tenant", "acme", "--json"))}

    assert (await keys.identify(old["key"])).key_id == old["id"]
    with pytest.raises(Unauthenticated):
        await keys.identify(new["key"])
    assert rows[str(old["id"])][5].startswith("until ")
    assert rows[str(new["id"])][2:] == ["secret", "owner", "old", "revoked"]
    assert not any("key" in each or "hmac_secret" in each for each in listed.values())


async def test_a_tenants_limits_are_changed_one_by_one(run, module_postgres):
    tenants = Tenants(module_postgres)
    await run("limit", "acme", "--dynamic-plus", "3", group=tenant_commands)
    await run("limit", "acme", "--requests-per-minute", "100", group=tenant_commands)
    both = await tenants.get("acme")
    await run("limit", "acme", "--requests-per-minute", "0", group=tenant_commands)
    await run("limit", "acme", "--events-per-month", "5000", group=tenant_commands)
    usual = await tenants.get("acme")
    await run("limit", "acme", "--events-per-month", "0", group=tenant_commands)
    any_number = await tenants.get("acme")
    for wrong in ((), ("--dynamic-plus", "few"), ("--dynamic-plus", "-1")):
        with pytest.raises(InvalidInput, match="--dynamic-plus"):
            await run("limit", "acme", *wrong, group=tenant_commands)
    kept = await tenants.get("acme")
    await run("limit", "acme", "--dynamic-plus", "any", group=tenant_commands)

    assert kept.dynamic_plus_limit == 3
    assert (await tenants.get("acme")).dynamic_plus_limit is None
    assert (both.dynamic_plus_limit, both.requests_per_minute) == (3, 100)
    assert (usual.dynamic_plus_limit, usual.requests_per_minute, usual.events_per_month) == (3, None, 5000)
    assert (any_number.dynamic_plus_limit, any_number.events_per_month) == (3, None)
