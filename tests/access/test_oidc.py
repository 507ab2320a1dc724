"""People who logged in elsewhere: an issuer of this machine, over HTTP, with keys of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from litestar import Litestar, get

from segment_copilot.access import oidc as module
from segment_copilot.access.keyring import Keyring
from segment_copilot.access.keys import Keys
from segment_copilot.access.oidc import RETRY_SECONDS, Issuer, People
from segment_copilot.access.scopes import ROLES
from segment_copilot.access.sessions import Sessions
from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import Forbidden, Unauthenticated, Unavailable
from segment_copilot.stores.postgres import Postgres
from tests.support.clocks import Clock
from tests.support.http_server import served

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
AUDIENCE = "segment-copilot"


class LocalIssuer:
    """Publishes its keys and signs with them; *asked* counts how often they were fetched."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, Any] = {}
        self.asked = 0

    def add(self, kid: str) -> None:
        self.keys[kid] = ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256"})

    def token(self, *, kid: str = "first", key: Any = None, alg: str = "ES256", **claims: Any) -> str:
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ana",
            "tenant": "acme",
            "role": "member",
            "exp": int(NOW.timestamp()) + 600,
        }
        said = {name: value for name, value in (said | claims).items() if value is not None}
        return jwt.encode({"alg": alg, "kid": kid}, said, key or self.keys[kid], algorithms=[alg])


@pytest.fixture(scope="module")
async def issuer() -> AsyncGenerator[LocalIssuer]:
    local = LocalIssuer()
    local.add("first")

    @get("/.well-known/openid-configuration")
    async def about() -> dict[str, str]:
        return {"issuer": local.url, "jwks_uri": f"{local.url}/keys"}

    @get("/keys")
    async def keys() -> dict[str, Any]:
        local.asked += 1
        return {"keys": [key.as_dict(private=False) for key in local.keys.values()]}

    async with served(Litestar([about, keys], openapi_config=None, logging_config=None)) as url:
        local.url = url
        yield local


@pytest.fixture(scope="module")
async def acme(module_postgres: Postgres) -> Tenant:
    return await Tenants(module_postgres).create("acme")


@pytest.fixture
def people(issuer: LocalIssuer, module_postgres: Postgres, acme: Tenant) -> People:
    return People(Issuer(issuer.url, AUDIENCE), Tenants(module_postgres))


@pytest.mark.parametrize(
    ("role", "named"), [("viewer", "viewer"), ("owner", ["viewer", "owner", "dancer"]), ("member", ["member"])]
)
async def test_a_token_speaks_for_the_tenant_in_the_role_that_it_names(people: People, issuer, acme, role, named):
    token = issuer.token(role=named)

    caller = await people.read(token, now=NOW)

    assert people.issued(token)
    assert (caller.tenant, caller.key_id, caller.session_user) == (acme, None, "ana")
    assert caller.scopes == ROLES[role]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-service"},
        {"aud": None},
        {"aud": []},
        {"iss": "https://elsewhere.example"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 10**400},
        {"exp": int(NOW.timestamp()) - 61},
        {"nbf": int(NOW.timestamp()) + 61},
    ],
    ids=repr,
)
async def test_a_token_for_others_or_of_another_time_is_refused(people: People, issuer, claims):
    with pytest.raises(Unauthenticated):
        await people.read(issuer.token(**claims), now=NOW)


@pytest.mark.parametrize(
    "claims", [{"tenant": "rival"}, {"tenant": None}, {"tenant": 3}, {"role": "dancer"}, {"role": None}]
)
async def test_who_has_no_tenant_or_role_here_may_do_nothing(people: People, issuer, claims):
    with pytest.raises(Forbidden) as raised:
        await people.read(issuer.token(**claims), now=NOW)

    assert raised.value.code == "no_membership"


async def test_a_token_of_a_key_that_is_not_the_issuers_is_refused(people: People, issuer):
    stranger = ECKey.generate_key("P-256", {"kid": "first"})
    shared = OctKey.import_key(b"x" * 32)
    good = issuer.token()
    header, claims, _ = good.split(".")
    forged = [
        issuer.token(key=stranger),
        issuer.token(key=shared, alg="HS256"),
        issuer.token(key=RSAKey.generate_key(2048), alg="RS256"),
        f"{header}.{claims}.",
        f"eyJhbGciOiJub25lIn0.{claims}.",
    ]

    for token in forged:
        with pytest.raises(Unauthenticated):
            await people.read(token, now=NOW)
    assert (await people.read(good, now=NOW)).session_user == "ana"


async def test_keys_are_fetched_once_and_again_for_one_that_is_new(people: People, issuer, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    before = issuer.asked
    for _ in range(3):
        await people.read(issuer.token(), now=NOW)
    assert issuer.asked == before + 1

    issuer.add("second")
    with pytest.raises(Unauthenticated):  # a moment after they were fetched: anybody can make up a key's id
        await people.read(issuer.token(kid="second"), now=NOW)
    assert issuer.asked == before + 1
    clock.now += RETRY_SECONDS
    assert (await people.read(issuer.token(kid="second"), now=NOW)).session_user == "ana"
    assert issuer.asked == before + 2


async def test_an_issuer_that_does_not_answer_is_an_outage(module_postgres: Postgres, issuer):
    nobody = People(Issuer("http://127.0.0.1:1", AUDIENCE), Tenants(module_postgres))

    with pytest.raises(Unavailable):
        await nobody.read(issuer.token(iss="http://127.0.0.1:1"), now=NOW)


async def test_a_keyring_knows_people_and_keys_and_sessions_apart(people: People, issuer, module_postgres, acme):
    keys, sessions = Keys(module_postgres), Sessions(Secrets(module_postgres))
    key, text = await keys.create(acme)
    now = datetime.now(UTC)
    _, session = await sessions.open(key.id, scope="copilot", user_id=None, now=now)
    login = issuer.token(exp=int(now.timestamp()) + 600)
    keyring = Keyring(keys, sessions, people)

    found = [await keyring.caller_of(credential) for credential in (text, session, login)]

    assert [(one.key_id, one.session, one.session_user) for one in found] == [
        (key.id, None, None),
        (key.id, "copilot", None),
        (None, None, "ana"),
    ]
    with pytest.raises(Unauthenticated):
        await Keyring(keys, sessions).caller_of(login)  # where no issuer is set
