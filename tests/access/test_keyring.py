"""Who a credential speaks for is remembered for a moment, and not of everybody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from segment_copilot.access.keyring import Keyring
from segment_copilot.access.keys import Keys
from segment_copilot.access.sessions import Sessions
from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenants
from segment_copilot.errors import Unauthenticated
from segment_copilot.stores.postgres import Postgres


async def test_of_too_many_keys_the_one_used_longest_ago_is_forgotten(postgres: Postgres):
    acme, keys = await Tenants(postgres).create("acme"), Keys(postgres)
    keyring = Keyring(keys, Sessions(Secrets(postgres)), most=2)
    texts = dict[str, str]()
    for name in ("first", "second", "third"):
        _, texts[name] = await keys.create(acme, name=name)

    for name in ("first", "second", "first", "third"):
        await keyring.caller_of(texts[name])
    for key in await keys.list(acme):
        await keys.revoke(acme, key.id)

    assert (await keyring.caller_of(texts["first"])).tenant == acme
    assert (await keyring.caller_of(texts["third"])).tenant == acme
    with pytest.raises(Unauthenticated):
        await keyring.caller_of(texts["second"])


async def test_a_token_reads_for_the_tenant_of_its_key(postgres: Postgres):
    acme, keys, sessions = await Tenants(postgres).create("acme"), Keys(postgres), Sessions(Secrets(postgres))
    key, _ = await keys.create(acme)
    _, token = await sessions.open(key.id, scope="copilot", user_id="ana", now=datetime.now(UTC))

    caller = await Keyring(keys, sessions).caller_of(token)

    assert (caller.tenant, caller.read_only, caller.session_user) == (acme, True, "ana")
