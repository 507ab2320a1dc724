"""Who a credential speaks for is remembered for a moment, and not of everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from segment_copilot.access import keyring as module
from segment_copilot.access.keyring import REMEMBERED_SECONDS, Keyring
from segment_copilot.access.keys import Keys, NewKey
from segment_copilot.access.sessions import LIFETIME, Sessions
from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import Unauthenticated
from segment_copilot.stores.postgres import Postgres, open_postgres
from tests.support.clocks import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time by which the keyring remembers."""
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture
async def acme(postgres: Postgres) -> Tenant:
    return await Tenants(postgres).create("acme")


@pytest.fixture
def keys(postgres: Postgres) -> Keys:
    return Keys(postgres)


@pytest.fixture
def sessions(postgres: Postgres) -> Sessions:
    return Sessions(Secrets(postgres))


@pytest.fixture
def keyring(keys: Keys, sessions: Sessions) -> Keyring:
    return Keyring(keys, sessions)


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

    assert (caller.tenant, caller.session, caller.session_user) == (acme, "copilot", "ana")


async def test_a_revoked_key_is_taken_for_a_second_and_no_longer(
    clock: Clock, acme: Tenant, keys: Keys, keyring: Keyring
):
    key, text = await keys.create(acme)
    known = await keyring.caller_of(text)
    await keys.revoke(acme, key.id)

    clock.now += REMEMBERED_SECONDS
    assert await keyring.caller_of(text) == known
    clock.now += 0.001
    with pytest.raises(Unauthenticated):
        await keyring.caller_of(text)
    assert REMEMBERED_SECONDS == 1


async def test_a_key_that_is_used_all_the_time_is_looked_up_all_the_same(
    clock: Clock, acme: Tenant, keys: Keys, keyring: Keyring
):
    key, text = await keys.create(acme)
    for _ in range(4):
        await keyring.caller_of(text)
        clock.now += 0.2
    await keys.revoke(acme, key.id)
    await keyring.caller_of(text)

    clock.now += 0.201
    with pytest.raises(Unauthenticated):
        await keyring.caller_of(text)


async def test_a_session_ends_with_its_key_within_the_same_time(
    clock: Clock, acme: Tenant, keys: Keys, sessions: Sessions, keyring: Keyring
):
    key, _ = await keys.create(acme)
    _, token = await sessions.open(key.id, scope="copilot", user_id="ana", now=datetime.now(UTC))
    known = await keyring.caller_of(token)
    await keys.revoke(acme, key.id)

    assert await keyring.caller_of(token) == known
    clock.now += REMEMBERED_SECONDS + 0.001
    with pytest.raises(Unauthenticated):
        await keyring.caller_of(token)


async def test_a_session_is_not_remembered_past_its_end(
    clock: Clock, acme: Tenant, keys: Keys, sessions: Sessions, keyring: Keyring
):
    key, _ = await keys.create(acme)
    begun = datetime.now(UTC) - LIFETIME + timedelta(seconds=1.5)  # its end is a whole second
    _, token = await sessions.open(key.id, scope="copilot", user_id="ana", now=begun)
    await keyring.caller_of(token)
    await keys.revoke(acme, key.id)

    clock.now += 1.001
    with pytest.raises(Unauthenticated):
        await keyring.caller_of(token)


async def test_what_was_refused_is_asked_about_again(acme: Tenant, keys: Keys, keyring: Keyring, postgres: Postgres):
    key, text = await keys.create(acme)
    await keys.revoke(acme, key.id)
    with pytest.raises(Unauthenticated):
        await keyring.caller_of(text)

    await postgres.execute("UPDATE api_keys SET revoked_at = NULL")

    assert (await keyring.caller_of(text)).key_id == key.id


@pytest.mark.parametrize("credential", ["", "sk_" + "a" * 32, "nobody", "a.b.c"])
async def test_what_is_no_credential_is_refused(acme: Tenant, keys: Keys, keyring: Keyring, credential):
    await keys.create(acme)

    with pytest.raises(Unauthenticated):
        await keyring.caller_of(credential)


async def test_a_key_revoked_by_one_process_is_no_key_to_another_a_second_later(
    clock: Clock, acme: Tenant, keys: Keys, sessions: Sessions, database_url: str
):
    """Two processes: each has its own connections and its own keyring."""
    key, text = await keys.create(acme)
    async with open_postgres(database_url) as elsewhere:
        other = Keyring(Keys(elsewhere), Sessions(Secrets(elsewhere)))
        here = Keyring(keys, sessions)
        assert await here.caller_of(text) == await other.caller_of(text)

        await keys.revoke(acme, key.id)

        clock.now += 1.001
        for keyring in (here, other):
            with pytest.raises(Unauthenticated):
                await keyring.caller_of(text)


async def test_a_key_is_not_remembered_past_its_end(clock: Clock, acme: Tenant, keys: Keys, keyring: Keyring):
    ends = datetime.now(UTC) + timedelta(seconds=0.4)
    text = (await keys.issue(acme, NewKey(expires_at=ends))).text
    await keyring.caller_of(text)
    await keys.revoke(acme, 1)

    clock.now += 0.401
    with pytest.raises(Unauthenticated):
        await keyring.caller_of(text)


async def test_keys_of_two_tenants_are_not_mixed_up(acme: Tenant, keys: Keys, keyring: Keyring, postgres: Postgres):
    rival = await Tenants(postgres).create("rival")
    texts = [(await keys.create(tenant))[1] for tenant in (acme, rival)]

    for _ in range(2):
        assert [(await keyring.caller_of(text)).tenant for text in texts] == [acme, rival]


async def test_the_text_of_a_credential_is_not_kept(acme: Tenant, keys: Keys, keyring: Keyring):
    _, text = await keys.create(acme)

    await keyring.caller_of(text)

    assert text not in repr(vars(keyring))
