"""Asks those that the service depends on beyond its stores: the model's endpoint, and the issuer of people's tokens.

Nothing is spent: the model is looked up by its name, not asked anything.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import httpx2

from segment_copilot.doctor.findings import Check, ok, warning, wrong
from segment_copilot.settings import Settings

SECONDS: Final = 5.0

_API: Final = "https://api.anthropic.com"
_VERSION: Final = "2023-06-01"


async def examine_outside(settings: Settings) -> list[Check]:
    """Return what is to say of the services that *settings* name; empty when they name none."""
    async with httpx2.AsyncClient(timeout=SECONDS) as client:
        return [*await _model(client, settings), *await _issuer(client, settings)]


async def _model(client: httpx2.AsyncClient, settings: Settings) -> list[Check]:
    if not settings.anthropic_api_key or settings.copilot_model not in {"auto", "claude"}:
        return []
    base, model = (settings.anthropic_base_url or _API).rstrip("/"), settings.claude_model
    headers = {"x-api-key": settings.anthropic_api_key, "anthropic-version": _VERSION}
    name = "model"
    try:
        status = (await client.get(f"{base}/v1/models/{model}", headers=headers)).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        detail = f"{base} does not answer ({type(error).__name__}): every turn of the copilot ends with an error."
        return [wrong(name, detail, "Look whether this machine may reach it, or correct ANTHROPIC_BASE_URL.")]
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        detail = f"{base} refuses the key ({status})."
        return [wrong(name, detail, "Correct ANTHROPIC_API_KEY: a value in quotes is a common reason.")]
    if status == HTTPStatus.NOT_FOUND:
        detail = f"{base} knows no model {model}, or does not tell models by name."
        return [
            warning(
                name, detail, "Correct CLAUDE_MODEL; if the endpoint has no list of models, ask the copilot something."
            )
        ]
    if status >= HTTPStatus.BAD_REQUEST:
        return [warning(name, f"{base} answers {status}.", "Try again, and ask whoever runs it.")]
    return [ok(name, f"{base} has the model {model}.")]


async def _issuer(client: httpx2.AsyncClient, settings: Settings) -> list[Check]:
    issuer = settings.oidc_issuer
    if not issuer:
        return []
    place = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = (await client.get(place)).raise_for_status()
        told: Any = answer.json()
        says, keys = told["issuer"], told["jwks_uri"]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError, KeyError) as error:
        detail = f"{place} tells no keys ({type(error).__name__}): nobody can log in."
        return [wrong("oidc", detail, "Correct OIDC_ISSUER, or let this machine reach it.")]
    if says != issuer:
        detail = f"The issuer calls itself {says}, and OIDC_ISSUER is {issuer}: none of its tokens is taken."
        return [wrong("oidc", detail, "Write it as the issuer does, to the last slash.")]
    return [ok("oidc", f"{issuer} tells its keys at {keys}.")]
