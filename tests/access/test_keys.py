"""A key speaks for its tenant; its text is shown once, and only its hash is kept."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest

from segment_copilot.access.keys import Caller, Key, Keys, NewKey, PublicKey
from segment_copilot.access.scopes import MCP, ROLES, SCOPES
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from segment_copilot.stores.postgres import Postgres


@pytest.fixture
def postgres(module_postgres: Postgres) -> Postgres:
    """One database for all of these."""
    return module_postgres


@pytest.fixture
def keys(postgres: Postgres) -> Keys:
    return Keys(postgres)


@pytest.fixture
async def acme(postgres: Postgres) -> Tenant:
    return await Tenants(postgres).create(f"acme-{uuid4().hex[:8]}", timezone="Europe/Madrid", dynamic_plus_limit=3)


@pytest.mark.parametrize(("kind", "prefix"), [("secret", "sk_"), ("public", "pk_"), ("mcp", "mk_")])
async def test_a_keys_text_says_its_kind_and_no_two_are_alike(keys: Keys, acme: Tenant, kind, prefix):
    (key, text), (_, other) = [await keys.create(acme, kind=kind, name="site") for _ in range(2)]

    assert re.fullmatch(prefix + "[A-Za-z0-9]{32}", text)
    assert text != other
    assert (key.kind, key.name, key.revoked_at) == (kind, "site", None)


async def test_of_a_keys_text_only_its_hash_and_its_ends_are_kept(keys: Keys, acme: Tenant, postgres: Postgres):
    key, text = await keys.create(acme)

    row = await postgres.fetchrow("SELECT * FROM api_keys WHERE id = $1", key.id)

    assert row is not None
    assert row["hash"] == sha256(text.encode()).digest()
    assert key.hint == row["hint"] == f"sk_…{text[-4:]}"
    assert text not in str(dict(row))


async def test_a_key_says_the_whole_tenant_which_key_it_is_and_that_it_may_do_everything(keys: Keys, acme: Tenant):
    key, text = await keys.create(acme)

    assert await keys.identify(text) == Caller(acme, key.id, kind="secret", scopes=frozenset(SCOPES))


@pytest.mark.parametrize("text", ["", "sk_", "sk_" + "a" * 32, "sk_\x00", "sk_\udcff"])
async def test_a_text_that_is_no_key_is_refused(keys: Keys, acme: Tenant, text):
    await keys.create(acme)

    with pytest.raises(Unauthenticated) as raised:
        await keys.identify(text)

    assert raised.value.code == "invalid_key"


async def test_a_public_key_opens_sessions_and_does_nothing_else(keys: Keys, acme: Tenant):
    new = NewKey(kind="public", allowed_origins=["https://shop.example"], require_signed_user_id=True)
    issued = await keys.issue(acme, new)

    caller = await keys.identify(issued.text)

    assert issued.hmac_secret is not None
    assert caller.scopes == {"sessions:open"}
    assert caller.public == PublicKey(("https://shop.example",), True, bytes.fromhex(issued.hmac_secret))
    assert issued.hmac_secret not in repr(await keys.list(acme))


async def test_a_copilots_session_has_what_its_scope_and_its_key_have(keys: Keys, acme: Tenant):
    issued = await keys.issue(acme, NewKey(scopes=["copilot:ask", "segments:read", "members:read"]))

    caller = await keys.identify_session(issued.key.id, scope="copilot", user_id="ana")

    assert caller.scopes == {"copilot:ask", "segments:read"}
    assert (caller.session, caller.session_user, caller.tracks_for) == ("copilot", "ana", None)


@pytest.mark.parametrize("kind", ["secret", "public"])
async def test_a_session_that_tracks_sends_the_events_of_one_user(keys: Keys, acme: Tenant, kind):
    key, _ = await keys.create(acme, kind=kind)

    caller = await keys.identify_session(key.id, scope="track", user_id="ana")

    assert (caller.scopes, caller.tracks_for) == ({"events:write"}, "ana")


async def test_a_session_of_a_key_that_is_not_there_is_refused(keys: Keys):
    with pytest.raises(Unauthenticated) as raised:
        await keys.identify_session(2**40, scope="copilot", user_id="ana")

    assert raised.value.code == "invalid_session"


@pytest.mark.parametrize(
    ("new", "scopes"),
    [
        (NewKey(role="owner"), frozenset(SCOPES)),
        (NewKey(role="admin"), frozenset(SCOPES) - {"keys:manage"}),
        (NewKey(role="viewer"), ROLES["viewer"]),
        (NewKey(scopes=["segments:read"]), {"segments:read"}),
        (NewKey(kind="mcp"), MCP["mcp:read"] | MCP["mcp:write"]),
        (NewKey(kind="mcp", scopes=["mcp:read"]), MCP["mcp:read"]),
        (NewKey(kind="mcp", scopes=["mcp:read", "users:erase"]), MCP["mcp:read"] | {"users:erase"}),
    ],
    ids=lambda value: repr(value) if isinstance(value, NewKey) else "",
)
async def test_a_key_may_do_what_its_role_its_scopes_or_its_kind_say(keys: Keys, acme: Tenant, new, scopes):
    issued = await keys.issue(acme, new)

    assert (await keys.identify(issued.text)).scopes == scopes


@pytest.mark.parametrize(
    ("new", "code", "pointer"),
    [
        (NewKey(scopes=["segments:reed"]), "unknown_scope", "/scopes/0"),
        (NewKey(scopes=["segments:read", "mcp:read"]), "unknown_scope", "/scopes/1"),
        (NewKey(scopes=[]), "conflicting_fields", "/scopes"),
        (NewKey(scopes=["segments:read"], role="viewer"), "conflicting_fields", "/role"),
        (NewKey(kind="public", scopes=["segments:read"]), "conflicting_fields", "/scopes"),
        (NewKey(allowed_origins=["https://shop.example"]), "conflicting_fields", "/allowed_origins"),
        (NewKey(require_signed_user_id=True), "conflicting_fields", "/require_signed_user_id"),
        (NewKey(kind="public", allowed_origins=["https://shop.example/"]), "bad_origin", "/allowed_origins/0"),
        (NewKey(expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "past_instant", "/expires_at"),
    ],
    ids=lambda value: repr(value) if isinstance(value, NewKey) else "",
)
async def test_what_no_key_can_be_is_refused_with_its_place(keys: Keys, acme: Tenant, new, code, pointer):
    with pytest.raises(InvalidInput) as raised:
        await keys.issue(acme, new)

    assert (raised.value.code, raised.value.findings[0].pointer) == (code, pointer)
    assert await keys.list(acme) == []


async def test_a_key_grants_no_more_and_holds_no_longer_than_the_one_that_makes_it(keys: Keys, acme: Tenant):
    ends = datetime.now(UTC) + timedelta(hours=1)
    made = await keys.issue(acme, NewKey(scopes=["keys:manage", "segments:read"], expires_at=ends))
    owner, _ = await keys.create(acme)
    caller = await keys.identify(made.text)

    with pytest.raises(Forbidden) as more:
        await keys.issue(acme, NewKey(scopes=["segments:read", "segments:write"], expires_at=ends), by=caller)
    with pytest.raises(Forbidden):
        await keys.rotate(acme, owner.id, by=caller)
    with pytest.raises(InvalidInput):
        await keys.issue(acme, NewKey(scopes=["segments:read"]), by=caller)
    less = await keys.issue(acme, NewKey(scopes=["segments:read"], expires_at=ends), by=caller)

    assert (more.value.code, more.value.context) == ("missing_scope", {"scope": "segments:write"})
    assert (await keys.identify(less.text)).scopes == {"segments:read"}


async def test_a_key_that_is_rotated_outlives_the_one_that_asks_no_more_than_a_new_one_would(keys: Keys, acme: Tenant):
    owner, _ = await keys.create(acme)
    ends = await keys.issue(acme, NewKey(role="owner", expires_at=datetime.now(UTC) + timedelta(hours=1)))

    with pytest.raises(InvalidInput) as raised:
        await keys.rotate(acme, owner.id, by=await keys.identify(ends.text))

    assert raised.value.findings[0].pointer == "/expires_at"
    assert len(await keys.list(acme)) == 2


async def test_who_may_send_no_events_makes_and_rotates_no_public_key(keys: Keys, acme: Tenant):
    public, _ = await keys.create(acme, kind="public")
    manager = await keys.identify((await keys.issue(acme, NewKey(scopes=["keys:manage"]))).text)

    for attempt in (keys.issue(acme, NewKey(kind="public"), by=manager), keys.rotate(acme, public.id, by=manager)):
        with pytest.raises(Forbidden) as raised:
            await attempt
        assert raised.value.context == {"scope": "events:write"}


async def test_who_may_less_does_nothing_to_a_key_that_may_more(keys: Keys, acme: Tenant):
    _, text = await keys.create(acme)
    owner = await keys.identify(text)
    manager = await keys.identify((await keys.issue(acme, NewKey(scopes=["keys:manage", "segments:read"]))).text)
    more = (await keys.issue(acme, NewKey(scopes=["segments:read", "members:read"]))).key
    public = (await keys.issue(acme, NewKey(kind="public"))).key
    less = (await keys.issue(acme, NewKey(scopes=["segments:read"]))).key

    for key, lacking in ((more, "members:read"), (public, "events:write")):
        for attempt in (keys.change, keys.rotate, keys.revoke):
            with pytest.raises(Forbidden) as raised:
                await attempt(acme, key.id, by=manager)
            assert raised.value.context == {"scope": lacking}
            assert await keys.get(acme, key.id) == key

    for by in (manager, owner):
        renamed = await keys.change(acme, less.id, name="read", by=by)
        less = (await keys.rotate(acme, renamed.id, by=by)).key
    await keys.revoke(acme, less.id, by=manager)
    await keys.revoke(acme, manager.key_id or 0, by=manager)


async def test_of_many_rotations_at_once_one_makes_a_key(keys: Keys, acme: Tenant):
    key, _ = await keys.create(acme)

    rotations = (keys.rotate(acme, key.id, grace=timedelta(hours=1)) for _ in range(5))
    ended = await asyncio.gather(*rotations, return_exceptions=True)

    assert len(await keys.list(acme)) == 2
    assert sorted(getattr(one, "code", "made") for one in ended) == ["key_rotated"] * 4 + ["made"]


async def test_changes_of_a_key_at_once_are_all_kept(keys: Keys, acme: Tenant):
    for _ in range(5):
        key, _ = await keys.create(acme, kind="public")

        await asyncio.gather(
            keys.change(acme, key.id, name="site"),
            keys.change(acme, key.id, allowed_origins=["https://shop.example"]),
            keys.change(acme, key.id, require_signed_user_id=True),
        )

        changed = await keys.get(acme, key.id)
        assert (changed.name, changed.allowed_origins, changed.require_signed_user_id) == (
            "site",
            ("https://shop.example",),
            True,
        )


async def test_a_key_that_has_expired_is_none(keys: Keys, acme: Tenant, postgres: Postgres):
    made = await keys.issue(acme, NewKey(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    await keys.identify(made.text)

    await postgres.execute("UPDATE api_keys SET expires_at = now() WHERE id = $1", made.key.id)

    with pytest.raises(Unauthenticated):
        await keys.identify(made.text)
    with pytest.raises(NotFound):
        await keys.rotate(acme, made.key.id)


async def test_a_rotated_key_holds_for_its_grace_beside_the_new_one_which_may_do_the_same(keys: Keys, acme: Tenant):
    new = NewKey(kind="public", name="site", allowed_origins=["https://shop.example"], require_signed_user_id=True)
    old = await keys.issue(acme, new)

    made = await keys.rotate(acme, old.key.id, grace=timedelta(hours=1))
    at_once = await keys.rotate(acme, made.key.id)

    kept = await keys.get(acme, old.key.id)
    assert kept.expires_at is not None
    assert timedelta(minutes=59) < kept.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert (await keys.identify(old.text)).key_id == old.key.id
    with pytest.raises(Unauthenticated):
        await keys.identify(made.text)
    assert (at_once.key.name, at_once.key.allowed_origins, at_once.key.require_signed_user_id) == (
        "site",
        ("https://shop.example",),
        True,
    )
    assert (
        len({old.text, made.text, at_once.text}) == len({old.hmac_secret, made.hmac_secret, at_once.hmac_secret}) == 3
    )


async def test_a_key_says_when_it_was_used_last_to_ten_minutes(keys: Keys, acme: Tenant, postgres: Postgres):
    key, text = await keys.create(acme)
    assert key.last_used_at is None

    await keys.identify(text)
    first = (await keys.get(acme, key.id)).last_used_at
    await keys.identify(text)
    assert first is not None
    assert (await keys.get(acme, key.id)).last_used_at == first
    await postgres.execute("UPDATE api_keys SET last_used_at = now() - interval '11 minutes' WHERE id = $1", key.id)
    await keys.identify(text)

    again = (await keys.get(acme, key.id)).last_used_at
    assert again is not None
    assert again >= first


async def test_another_tenants_key_is_none(keys: Keys, acme: Tenant, postgres: Postgres):
    rival = await Tenants(postgres).create("rival")
    key, text = await keys.create(acme)

    for attempt in (keys.get(rival, key.id), keys.change(rival, key.id, name="mine"), keys.rotate(rival, key.id)):
        with pytest.raises(NotFound) as raised:
            await attempt
        assert raised.value.code == "key_not_found"
    assert await keys.list(rival) == []
    assert (await keys.identify(text)).tenant == acme


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
