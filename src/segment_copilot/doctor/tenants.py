"""Examines what tenants there are, whether somebody can use the service, and whether their secrets can still be opened."""

from __future__ import annotations

from typing import Final

from segment_copilot.activations.secrets import Secrets
from segment_copilot.doctor.findings import Check, ok, unknown, warning, wrong
from segment_copilot.errors import InvalidInput
from segment_copilot.stores.postgres import Postgres

_TENANTS: Final = """
SELECT slug, EXISTS (
    SELECT FROM api_keys WHERE tenant_id = tenants.id AND revoked_at IS NULL AND coalesce(expires_at, now()) >= now()) AS has_key
FROM tenants
"""
_DEMO: Final = "demo"  # as demo/loading.py calls it
_SEALED: Final = """
SELECT DISTINCT sealed_with AS key FROM activations WHERE sealed_with IS NOT NULL
UNION SELECT DISTINCT split_part(secret, '.', 2) FROM webhooks
UNION SELECT DISTINCT split_part(previous_secret, '.', 2) FROM webhooks WHERE previous_until > now()
"""


async def examine_secrets(postgres: Postgres, keys: tuple[str, ...]) -> list[Check]:
    """Return which keys are still needed to open what is stored."""
    try:
        ours = Secrets(keys)
    except InvalidInput:
        return []  # the settings say so themselves
    used = {row["key"] for row in await postgres.fetch(_SEALED)}
    if lost := sorted(used - ours.ids):
        detail = (
            f"Secrets are sealed with {', '.join(lost)}, which SECRETS_KEYS does not hold: nothing is sent with them."
        )
        return [wrong("secrets", detail, "Put the key back behind the newest one, or send these secrets again.")]
    if older := sorted(used - {ours.newest}):
        detail = f"Every secret that is stored can be opened. Some are still sealed with {', '.join(older)}, so do not take it out yet."
        return [ok("secrets", detail)]
    return [ok("secrets", "Every secret that is stored can be opened, with the newest key alone.")] if used else []


async def examine_tenants(postgres: Postgres) -> list[Check]:
    """Return whether anybody can use the service, and whether a shop that was made up is in it."""
    rows = await postgres.fetch(_TENANTS)
    slugs = {row["slug"] for row in rows}
    if not rows:
        remedy = "`segment-copilot keys create --tenant NAME --new` makes a tenant and a key."
        return [unknown("tenants", "There is no tenant yet.", remedy)]
    checks = list[Check]()
    if _DEMO in slugs:
        detail = f"The tenant {_DEMO} is here, whose shop is made up."
        checks.append(
            warning(
                "tenants", detail, "Revoke its keys, if this deployment is for others (`keys list`, `keys revoke`)."
            )
        )
    if not any(row["has_key"] for row in rows):
        checks.append(warning("tenants", "No tenant has a key that holds.", "`segment-copilot keys create` makes one."))
    return checks or [ok("tenants", f"{len(rows)} {'tenant' if len(rows) == 1 else 'tenants'}.")]
