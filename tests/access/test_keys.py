"""A key speaks for its tenant; its text is shown once, and only its hash is kept."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from segment_copilot.access.keys import Caller, Key, Keys
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import Forbidden, NotFound, Unauthenticated
from segment_copilot.stores.postgres import Postgres


@pytest.fixture
def keys(postgres: Postgres) -> Keys:
    return Keys(postgres)


@pytest.fixture
async def acme(postgres: Postgres) -> Tenant:
    return await Tenants(postgres).create("acme", timezone="Europe/Madrid", dynamic_plus_limit=3)


@pytest.mark.parametrize(("kind", "prefix"), [("secret", "sk_"), ("public", "pk_")])
async def test_a_keys_text_says_its_kind_and_no_two_are_alike(keys: Keys, acme: Tenant, kind, prefix):
    (key, text), (_, other) = [await keys.create(acme, kind=kind, name="site") for _ in range(2)]

    assert re.fullmatch(prefix + "[A-Za-z0-9]{32}", text)
    assert text != other
    assert (key.kind, key.name, key.revoked_at) == (kind, "site", None)


async def test_of_a_keys_text_only_its_hash_and_its_ends_are_kept(keys: Keys, acme: Tenant, postgres: Postgres):
    key, text = await keys.create(acme)

    row = await postgres.fetchrow("SELECT * FROM api_keys")

    assert row is not None
    assert row["hash"] == sha256(text.encode()).digest()
    assert key.hint == row["hint"] == f"sk_…{text[-4:]}"
    assert text not in str(dict(row))


async def test_a_key_says_the_whole_tenant_which_key_it_is_and_that_it_may_write(keys: Keys, acme: Tenant):
    key, text = await keys.create(acme)

    assert await keys.identify(text) == Caller(acme, key.id, read_only=False, session_user=None)


@pytest.mark.parametrize("text", ["", "sk_", "sk_" + "a" * 32, "sk_\x00", "sk_\udcff"])
async def test_a_text_that_is_no_key_is_refused(keys: Keys, acme: Tenant, text):
    await keys.create(acme)

    with pytest.raises(Unauthenticated) as raised:
        await keys.identify(text)

    assert raised.value.code == "invalid_key"


async def test_a_public_key_is_told_to_be_one_until_it_is_revoked(keys: Keys, acme: Tenant):
    key, text = await keys.create(acme, kind="public")

    with pytest.raises(Forbidden) as raised:
        await keys.identify(text)
    await keys.revoke(acme, key.id)
    with pytest.raises(Unauthenticated):
        await keys.identify(text)

    assert raised.value.code == "public_key"


async def test_a_session_reads_as_the_user_that_its_key_named(keys: Keys, acme: Tenant):
    key, _ = await keys.create(acme)

    named = await keys.identify_session(key.id, user_id="ana")
    nobody = await keys.identify_session(key.id, user_id=None)

    assert named == Caller(acme, key.id, read_only=True, session_user="ana")
    assert nobody == Caller(acme, key.id, read_only=True, session_user=None)


async def test_a_session_of_a_key_that_is_not_there_is_refused(keys: Keys):
    with pytest.raises(Unauthenticated) as raised:
        await keys.identify_session(1, user_id="ana")

    assert raised.value.code == "invalid_session"


async def test_keys_are_listed_as_they_were_made_and_without_their_text(keys: Keys, acme: Tenant):
    made = [await keys.create(acme, name=name) for name in ("first", "second")]

    listed = await keys.list(acme)

    assert listed == [key for key, _ in made]
    assert not any(text in str(listed) for _, text in made)
    assert "hash" not in Key.__struct_fields__


async def test_a_second_revocation_keeps_the_time_of_the_first(keys: Keys, acme: Tenant):
    key, _ = await keys.create(acme)
    await keys.revoke(acme, key.id)
    (first,) = await keys.list(acme)

    await keys.revoke(acme, key.id)

    assert await keys.list(acme) == [first]


async def test_a_revoked_key_takes_no_other_with_it(keys: Keys, acme: Tenant):
    (key, _), (_, kept) = [await keys.create(acme) for _ in range(2)]

    await keys.revoke(acme, key.id)
    with pytest.raises(NotFound) as raised:
        await keys.revoke(acme, key.id + 100)

    assert (await keys.identify(kept)).tenant == acme
    assert raised.value.code == "key_not_found"
