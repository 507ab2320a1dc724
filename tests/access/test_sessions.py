"""A session's token says whose browser holds it, for fifteen minutes, and nobody else can write one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from segment_copilot.access.sessions import Session, Sessions
from segment_copilot.access.signing import Secrets
from segment_copilot.errors import Unauthenticated
from segment_copilot.stores.postgres import Postgres, open_postgres
from tests.support.databases import postgres_database

NOW = datetime(2026, 6, 15, 12, 0, 0, 700_000, tzinfo=UTC)
END = datetime(2026, 6, 15, 12, 15, tzinfo=UTC)
CLAIMS: dict[str, Any] = {"key_id": 3, "scope": "copilot", "exp": int(END.timestamp()), "sub": "ana"}


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

    async with postgres_database(servers.database_url, template=template) as url, open_postgres(url) as elsewhere:
        assert await refusal(Sessions(Secrets(elsewhere)), token) == "invalid_session"
    assert await Sessions(Secrets(postgres)).read(token, now=NOW) == session


async def test_a_secret_of_another_purpose_signs_no_session(sessions: Sessions, postgres: Postgres):
    cursors = await Secrets(postgres).get_or_create("cursors")

    assert await refusal(sessions, signed(CLAIMS, cursors)) == "invalid_session"
