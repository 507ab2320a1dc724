"""A role that sees one tenant at a time, as a deployment has it: `migrate` makes it what it is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit
from uuid import uuid4

from segment_copilot.stores.migrations import tables
from segment_copilot.stores.postgres import open_postgres
from segment_copilot.stores.roles import confine_role
from tests.support.databases import run_postgres

PASSWORD = "only-for-tests"


@contextlib.asynccontextmanager
async def confined(url: str) -> AsyncGenerator[str]:
    """The database at *url*, a migrated one, as a role of its own sees it; the role goes afterwards."""
    role = f"segment_copilot_test_{uuid4().hex[:12]}"
    await run_postgres(url, f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    try:
        async with open_postgres(url, pool=1) as owner:
            await confine_role(owner, role, tables=tables("postgres"))
        yield logged_in_as(url, role)
    finally:
        await run_postgres(url, f"GRANT {role} TO CURRENT_USER", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def logged_in_as(url: str, role: str) -> str:
    """*url* with another user."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()
