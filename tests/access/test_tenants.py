"""Tenants and their keys."""

from __future__ import annotations

import pytest

from segment_copilot.access.keys import Keys
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from segment_copilot.stores.postgres import Postgres


async def test_a_tenant_is_found_by_its_slug_as_it_was_made(postgres: Postgres):
    tenants = Tenants(postgres)

    made = await tenants.create("acme", timezone="Europe/Madrid", dynamic_plus_limit=3)

    assert made == Tenant(made.id, "acme", "Europe/Madrid", 3)
    assert await tenants.get("acme") == made
    with pytest.raises(NotFound):
        await tenants.get("rival")


@pytest.mark.parametrize("slug", ["", "Acme", "-acme", "a b", "a" * 64])
async def test_a_slug_is_short_and_plain(postgres: Postgres, slug):
    tenants = Tenants(postgres)
    acme = await tenants.create("acme")

    for refused in (tenants.create(slug), tenants.rename(acme, slug)):
        with pytest.raises(InvalidInput) as raised:
            await refused
        assert raised.value.code == "bad_slug"


async def test_a_slug_may_be_as_long_as_a_dns_label(postgres: Postgres):
    tenants = Tenants(postgres)

    made = [await tenants.create(slug) for slug in ("a", "7-eleven", "a" * 63)]

    assert [await tenants.get(one.slug) for one in made] == made


@pytest.mark.parametrize("timezone", ["", "Madrid", "Europe/Nowhere", "../etc/passwd"])
async def test_a_time_zone_that_is_none_makes_no_tenant(postgres: Postgres, timezone):
    with pytest.raises(InvalidInput) as raised:
        await Tenants(postgres).create("acme", timezone=timezone)

    assert raised.value.code == "unknown_timezone"
    with pytest.raises(NotFound):
        await Tenants(postgres).get("acme")


async def test_a_slug_is_one_tenants(postgres: Postgres):
    tenants = Tenants(postgres)
    acme, rival = await tenants.create("acme"), await tenants.create("rival")

    for refused in (tenants.create("acme"), tenants.rename(rival, "acme")):
        with pytest.raises(Conflict):
            await refused
    renamed = await tenants.rename(rival, "friend")

    assert renamed == await tenants.get("friend") == Tenant(rival.id, "friend")
    assert await tenants.get("acme") == acme


async def test_a_limit_is_changed_for_one_tenant(postgres: Postgres):
    tenants = Tenants(postgres)
    acme, rival = await tenants.create("acme"), await tenants.create("rival")

    changed = await tenants.set_dynamic_plus_limit(acme, 5)

    assert changed.dynamic_plus_limit == 5
    assert [await tenants.get("acme"), await tenants.get("rival")] == [changed, rival]


async def test_a_deleted_tenant_is_gone_with_its_keys(postgres: Postgres):
    tenants, keys = Tenants(postgres), Keys(postgres)
    acme, rival = await tenants.create("acme"), await tenants.create("rival")
    _, text = await keys.create(acme)
    _, other = await keys.create(rival)

    await tenants.delete(acme)

    for gone in (tenants.get("acme"), tenants.rename(acme, "again"), tenants.set_dynamic_plus_limit(acme, 1)):
        with pytest.raises(NotFound):
            await gone
    with pytest.raises(Unauthenticated):
        await keys.identify(text)
    assert (await keys.identify(other)).tenant == rival


async def test_a_key_speaks_for_its_tenant_until_that_tenant_revokes_it(postgres: Postgres):
    tenants, keys = Tenants(postgres), Keys(postgres)
    acme, rival = await tenants.create("acme"), await tenants.create("rival")
    key, text = await keys.create(acme, name="backend")

    with pytest.raises(NotFound):
        await keys.revoke(rival, key.id)
    caller = await keys.identify(text)
    assert (caller.tenant, caller.key_id, caller.session) == (acme, key.id, None)

    await keys.revoke(acme, key.id)

    with pytest.raises(Unauthenticated):
        await keys.identify(text)
    with pytest.raises(Unauthenticated):
        await keys.identify_session(key.id, scope="copilot", user_id=None)
    assert [(one.name, one.revoked_at is None) for one in await keys.list(acme)] == [("backend", False)]
    assert await keys.list(rival) == []


async def test_a_tenant_has_a_limit_of_requests_when_it_is_given_one(postgres: Postgres):
    tenants, keys = Tenants(postgres), Keys(postgres)
    acme = await tenants.create("acme")
    _, text = await keys.create(acme)

    limited = await tenants.set_requests_per_minute(acme, 10)

    assert (acme.requests_per_minute, limited.requests_per_minute) == (None, 10)
    assert (await keys.identify(text)).tenant == limited == await tenants.get("acme")
    assert (await tenants.set_requests_per_minute(acme, None)) == acme
