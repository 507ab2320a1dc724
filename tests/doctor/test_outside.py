"""The model's endpoint and the issuer of tokens, as servers of this machine that answer one thing or another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from litestar import Litestar, Request, Response, get
from litestar.params import FromPath

from segment_copilot.doctor.findings import Check
from segment_copilot.doctor.outside import examine_outside
from segment_copilot.settings import Settings
from tests.support.http_server import served

NOBODY = "http://127.0.0.1:1"


@get("/v1/models/{model:str}")
async def tell_model(request: Request[Any, Any, Any], model: FromPath[str]) -> Response[dict[str, str]]:
    """One model, for one key; a model named by a number answers that status."""
    if request.headers["x-api-key"] != "right" or "anthropic-version" not in request.headers:
        return Response({}, status_code=401)
    return Response({"id": model}, status_code=int(model) if model.isdigit() else 200 if model == "claude-x" else 404)


@get("/{who:str}/.well-known/openid-configuration")
async def tell_issuer(request: Request[Any, Any, Any], who: FromPath[str]) -> dict[str, str]:
    """The issuer `good` under its own name, `other` under another, `mute` without keys."""
    here = str(request.base_url).rstrip("/")
    return {"issuer": f"{here}/{who if who == 'good' else 'else'}"} | (
        {} if who == "mute" else {"jwks_uri": f"{here}/keys"}
    )


@pytest.fixture(scope="module")
async def url() -> AsyncGenerator[str]:
    async with served(Litestar([tell_model, tell_issuer])) as at:
        yield at


async def found(**settings: Any) -> list[Check]:
    return await examine_outside(Settings(**settings))


@pytest.mark.parametrize(
    ("model", "key", "verdict", "part"),
    [
        ("claude-x", "right", "ok", "has the model claude-x"),
        ("claude-x", "sk-ant-wrong", "wrong", "refuses the key (401)"),
        ("claude-y", "right", "warning", "knows no model claude-y"),
        ("529", "right", "warning", "answers 529"),
    ],
)
async def test_the_model_is_looked_up(url: str, model: str, key: str, verdict: str, part: str):
    (check,) = await found(anthropic_base_url=url, anthropic_api_key=key, claude_model=model)

    assert (check.name, check.verdict, part in check.detail) == ("model", verdict, True), check
    assert key not in str(check)


async def test_an_endpoint_that_is_away_is_told():
    (check,) = await found(anthropic_base_url=NOBODY, anthropic_api_key="k")

    assert (check.verdict, NOBODY in check.detail) == ("wrong", True)


async def test_nobody_is_asked_who_is_not_used():
    assert await found() == []
    assert await found(anthropic_base_url=NOBODY) == []
    assert await found(anthropic_base_url=NOBODY, anthropic_api_key="k", copilot_model="offline") == []


@pytest.mark.parametrize(
    ("who", "verdict", "part"),
    [
        ("good", "ok", "tells its keys"),
        ("other", "wrong", "calls itself"),
        ("mute", "wrong", "tells no keys (KeyError)"),
        ("none/at/all", "wrong", "tells no keys (HTTPStatusError)"),
    ],
)
async def test_the_issuer_is_asked_for_its_keys(url: str, who: str, verdict: str, part: str):
    (check,) = await found(oidc_issuer=f"{url}/{who}", oidc_audience="us")

    assert (check.name, check.verdict, part in check.detail) == ("oidc", verdict, True), check
