"""A session's token says whose browser holds it, for fifteen minutes, and nobody else can write one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from segment_copilot.access.keys import Caller, PublicKey
from segment_copilot.access.scopes import PUBLIC_KEY
from segment_copilot.access.sessions import Session, Sessions, Wanted, signature_of
from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Conflict, Forbidden, InvalidInput, Unauthenticated
from segment_copilot.stores.postgres import Postgres, open_postgres
from tests.support.databases import postgres_database

NOW = datetime(2026, 6, 15, 12, 0, 0, 700_000, tzinfo=UTC)
END = datetime(2026, 6, 15, 12, 15, tzinfo=UTC)
CLAIMS: dict[str, Any] = {"key_id": 3, "scope": "copilot", "exp": int(END.timestamp()), "sub": "ana"}


@pytest.fixture
def postgres(module_postgres: Postgres) -> Postgres:
    """One database for all of these."""
    return module_postgres


@pytest.fixture
def sessions(postgres: Postgres) -> Sessions:
    return Sessions(Secrets(postgres))


async def refusal(sessions: Sessions, token: str, *, now: datetime = NOW) -> str:
    """The code that *token* is refused with."""
    with pytest.raises(Unauthenticated) as raised:
        await sessions.read(token, now=now)
    return raised.value.code


def signed(claims: dict[str, Any], secret: bytes, *, algorithm: str = "HS256") -> str:
    return jwt.encode({"alg": algorithm}, claims, OctKey.import_key(secret), algorithms=[algorithm])


@pytest.mark.parametrize("user_id", ["ana", None])
async def test_a_token_says_what_its_session_was_opened_with(sessions: Sessions, user_id):
    session, token = await sessions.open(3, scope="copilot", user_id=user_id, now=NOW)

    assert session == Session(3, "copilot", int(END.timestamp()), user_id)
    assert await sessions.read(token, now=NOW) == session


async def test_a_token_lasts_to_the_second_in_which_its_fifteen_minutes_end(sessions: Sessions):
    session, token = await sessions.open(3, scope="copilot", user_id="ana", now=NOW)

    assert session.expires_at == END
    assert await sessions.read(token, now=END - timedelta(microseconds=1)) == session
    assert await refusal(sessions, token, now=END) == "session_expired"


async def test_a_token_is_a_jwt_that_every_library_reads(sessions: Sessions, postgres: Postgres):
    _, token = await sessions.open(3, scope="copilot", user_id="ana", now=NOW)

    read = jwt.decode(token, OctKey.import_key(await Secrets(postgres).get_or_create("sessions")))

    assert (read.header, read.claims) == ({"typ": "JWT", "alg": "HS256"}, CLAIMS)


async def test_who_changes_a_token_has_none(sessions: Sessions):
    _, token = await sessions.open(3, scope="copilot", user_id="ana", now=NOW)
    _, other = await sessions.open(4, scope="copilot", user_id="ana", now=NOW)
    header, claims, signature = token.split(".")

    changed = [f"{header}.{other.split('.')[1]}.{signature}", f"{header}.{claims}.", token[:-4] + "AAAA"]

    assert [await refusal(sessions, one) for one in changed] == ["invalid_session"] * 3


async def test_a_token_signed_by_nobody_or_by_another_algorithm_is_none(sessions: Sessions, postgres: Postgres):
    secret = await Secrets(postgres).get_or_create("sessions")
    _, claims, _ = signed(CLAIMS, secret).split(".")
    nobody = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")

    unsigned = await refusal(sessions, f"{nobody}.{claims}.")
    otherwise = await refusal(sessions, signed(CLAIMS, secret, algorithm="HS512"))

    assert (unsigned, otherwise) == ("invalid_session", "invalid_session")
    assert (await sessions.read(signed(CLAIMS, secret), now=NOW)).sub == "ana"


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "everything"},
        {"key_id": "3"},
        {"key_id": 2**63},
        {"key_id": -1},
        {"exp": None},
        {"exp": -(2**62)},
        {"exp": 10**13},
        {"exp": 2**63},
        {"exp": 10**400},
        {"sub": 5},
    ],
    ids=repr,
)
async def test_claims_that_are_no_session_are_refused_though_well_signed(sessions: Sessions, postgres, wrong):
    secret = await Secrets(postgres).get_or_create("sessions")

    assert await refusal(sessions, signed(CLAIMS | wrong, secret)) == "invalid_session"


@pytest.mark.parametrize("token", ["", "sk_abc", "a.b.c", "ana", "é.é.é", "." * 9])
async def test_what_is_no_token_is_refused(sessions: Sessions, token):
    assert await refusal(sessions, token) == "invalid_session"


async def test_every_process_of_a_deployment_reads_it_and_no_other_deployment(sessions, servers, template, postgres):
    session, token = await sessions.open(3, scope="copilot", user_id="ana", now=NOW)

    async with postgres_database(servers.database_url, template=template.name) as url, open_postgres(url) as elsewhere:
        assert await refusal(Sessions(Secrets(elsewhere)), token) == "invalid_session"
    assert await Sessions(Secrets(postgres)).read(token, now=NOW) == session


async def test_a_secret_of_another_purpose_signs_no_session(sessions: Sessions, postgres: Postgres):
    cursors = await Secrets(postgres).get_or_create("cursors")

    assert await refusal(sessions, signed(CLAIMS, cursors)) == "invalid_session"


SIGNING = bytes.fromhex("00112233445566778899aabbccddeeff")
SIGNED_AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)  # 1700000000
SIGNATURE = "1d73379a19aa0c498ce095985dcfd844b19c360aecf5fc438ebe46f22acf6fb2"
ACME = Tenant(1, "acme")


def public(*, signed: bool = False) -> Caller:
    key = PublicKey((), requires_signature=signed, hmac_secret=SIGNING)
    return Caller(ACME, 3, kind="public", scopes=PUBLIC_KEY, public=key)


def test_a_signature_is_what_segops_sdks_make():
    assert signature_of(SIGNING, "u-123", 1_700_000_000) == SIGNATURE


async def test_a_public_key_opens_a_session_that_tracks_for_one_user(sessions: Sessions):
    named, _ = await sessions.open_by(public(), Wanted(user_id="ana"), now=NOW)
    anonymous, _ = await sessions.open_by(public(), Wanted(anonymous_id="a-1"), now=NOW)

    assert (named.scope, named.sub) == ("track", "ana")
    assert (anonymous.scope, anonymous.sub) == ("track", "anon_a-1")


async def test_both_ids_of_a_session_are_linked(postgres: Postgres):
    linked: list[tuple[int, str, str]] = []

    async def link(tenant: Tenant, anonymous_id: str, user_id: str) -> None:
        linked.append((tenant.id, anonymous_id, user_id))

    sessions = Sessions(Secrets(postgres), link)
    both, _ = await sessions.open_by(public(), Wanted(user_id="ana", anonymous_id="a-1"), now=NOW)
    await sessions.open_by(public(), Wanted(user_id="ana"), now=NOW)

    assert both.sub == "ana"
    assert linked == [(1, "a-1", "ana")]


async def test_who_cannot_be_linked_is_tracked_all_the_same(postgres: Postgres):
    async def refuse(tenant: Tenant, anonymous_id: str, user_id: str) -> None:
        raise Conflict(f"{anonymous_id} is somebody else.")

    sessions = Sessions(Secrets(postgres), refuse)
    session, _ = await sessions.open_by(public(), Wanted(user_id="ana", anonymous_id="a-1"), now=NOW)

    assert session.sub == "ana"


@pytest.mark.parametrize("skew", [timedelta(), timedelta(minutes=5), -timedelta(minutes=5)])
async def test_a_signed_user_id_counts_for_five_minutes_either_way(sessions: Sessions, skew):
    wanted = Wanted(user_id="u-123", signature=SIGNATURE, signed_at=1_700_000_000)

    session, _ = await sessions.open_by(public(signed=True), wanted, now=SIGNED_AT + skew)

    assert session.sub == "u-123"


@pytest.mark.parametrize(
    ("wanted", "later", "code"),
    [
        (Wanted(user_id="u-123"), 0, "user_id_not_signed"),
        (Wanted(user_id="u-123", signature=SIGNATURE), 0, "user_id_not_signed"),
        (Wanted(user_id="u-124", signature=SIGNATURE, signed_at=1_700_000_000), 0, "bad_user_signature"),
        (Wanted(user_id="u-123", signature=SIGNATURE, signed_at=1_700_000_001), 0, "bad_user_signature"),
        (Wanted(user_id="u-123", signature="é", signed_at=1_700_000_000), 0, "bad_user_signature"),
        (Wanted(user_id="u-123", signature=SIGNATURE, signed_at=1_700_000_000), 301, "stale_user_signature"),
        (Wanted(user_id="u-123", signature=SIGNATURE, signed_at=1_700_000_000), -301, "stale_user_signature"),
    ],
)
async def test_a_user_id_without_its_signature_is_refused_where_one_is_demanded(sessions, wanted, later, code):
    with pytest.raises(Forbidden) as raised:
        await sessions.open_by(public(signed=True), wanted, now=SIGNED_AT + timedelta(seconds=later))

    assert raised.value.code == code


async def test_a_wrong_signature_is_refused_where_none_is_demanded_too(sessions: Sessions):
    wanted = Wanted(user_id="u-124", signature=SIGNATURE, signed_at=1_700_000_000)

    with pytest.raises(Forbidden):
        await sessions.open_by(public(), wanted, now=SIGNED_AT)


async def test_somebody_anonymous_needs_no_signature(sessions: Sessions):
    session, _ = await sessions.open_by(public(signed=True), Wanted(anonymous_id="a-1"), now=NOW)

    assert session.sub == "anon_a-1"


@pytest.mark.parametrize(
    ("caller", "wanted", "pointer"),
    [
        (public(), Wanted(), "/user_id"),
        (Caller(ACME, 3), Wanted(), "/scope"),
        (Caller(ACME, 3), Wanted(scope="track"), "/user_id"),
    ],
)
async def test_a_session_says_what_it_is_for_and_whom(sessions: Sessions, caller, wanted, pointer):
    with pytest.raises(InvalidInput) as raised:
        await sessions.open_by(caller, wanted, now=NOW)

    assert raised.value.findings[0].pointer == pointer


@pytest.mark.parametrize(
    ("caller", "wanted", "code"),
    [
        (public(), Wanted(scope="copilot", user_id="ana"), "missing_scope"),
        (Caller(ACME, 3, scopes=frozenset({"sessions:open"})), Wanted(scope="copilot"), "missing_scope"),
        (Caller(ACME, 3, scopes=frozenset({"sessions:open"})), Wanted(scope="track", user_id="ana"), "missing_scope"),
        (Caller(ACME, None), Wanted(scope="copilot"), "key_needed"),
    ],
)
async def test_a_session_may_not_do_more_than_its_key(sessions: Sessions, caller, wanted, code):
    with pytest.raises(Forbidden) as raised:
        await sessions.open_by(caller, wanted, now=NOW)

    assert raised.value.code == code
