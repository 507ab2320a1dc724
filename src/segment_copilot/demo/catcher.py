"""A destination on this machine for the demo's activations: what they send really arrives, and nowhere else.

It answers as Braze does to `/users/track` and takes what the connector `webhook` posts, and keeps who is in each audience
for as long as it runs. `GET /` tells what has arrived. `connect_demo` makes the demo's activations lead here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.activations import Activation, ActivationChanges
from segment_copilot.lists import Window
from segment_copilot.resources import Resources

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_BRAZE: Final = "/braze"
_WEBHOOK: Final = "/webhook"
_KEY: Final = "demo-key-of-the-local-catcher"
_MANY: Final = 1_000
_MADE_UP: Final = """
DELETE FROM activations WHERE tenant_id = $1 AND (
    connector_type = 'klaviyo' AND config::jsonb = '{"list_id": "DEMO01"}'
    OR connector_type = 'braze' AND config::jsonb = '{"rest_endpoint": "https://rest.example.com"}')
"""


class DemoActivation(Struct, frozen=True):
    """An activation of the demo: a segment, by which connector it is sent, and whether it is from the beginning."""

    segment: str
    connector_type: str
    is_active: bool


ACTIVATIONS: Final = (
    DemoActivation("High LTV", "braze", is_active=True),
    DemoActivation("Churn Risk", "webhook", is_active=False),
)


class _Track(Struct, frozen=True):
    attributes: list[dict[str, Any]] = []


class _User(Struct, frozen=True):
    user_id: str


class _Posted(Struct, frozen=True):
    type: str
    segment_name: str = ""
    entered: list[_User] = []
    left: list[_User] = []


class Catcher:
    """Takes what is sent and counts it: an application of ASGI."""

    def __init__(self) -> None:
        self.audiences: dict[str, set[str]] = {}
        """Audience → the ids of who is in it."""
        self.requests = 0
        self.latest: datetime | None = None

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = bytearray()
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, answer = self._answer(scope["method"], scope["path"], bytes(body))
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": msgspec.json.encode(answer)})

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        try:
            match method, path:
                case "GET", "/":
                    return 200, self.told()
                case "POST", "/braze/users/track":
                    return self._track(msgspec.json.decode(body, type=_Track))
                case "POST", "/webhook":
                    return self._post(msgspec.json.decode(body, type=_Posted))
                case _:
                    return 404, {"message": "The demo's catcher takes POST /braze/users/track and POST /webhook."}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return 400, {"message": str(error)}

    def told(self) -> Mapping[str, Any]:
        """Return what has arrived since it was started."""
        return {
            "requests": self.requests,
            "latest": self.latest,
            "audiences": {name: len(users) for name, users in sorted(self.audiences.items())},
        }

    def _track(self, sent: _Track) -> tuple[int, object]:
        if not sent.attributes:
            return 400, {"message": "No attributes, events or purchases to process"}
        for attributes in sent.attributes:
            user_id = attributes.get("external_id", "")
            for name, value in attributes.items():
                if value is True and not name.startswith("_"):
                    self.audiences.setdefault(f"braze {name}", set()).add(user_id)
                elif value is False:
                    self.audiences.setdefault(f"braze {name}", set()).discard(user_id)
        self._note()
        return 201, {"message": "success", "attributes_processed": len(sent.attributes)}

    def _post(self, sent: _Posted) -> tuple[int, object]:
        if sent.type == "activation.batch":
            audience = self.audiences.setdefault(f"webhook {sent.segment_name}", set())
            audience |= {user.user_id for user in sent.entered}
            audience -= {user.user_id for user in sent.left}
            self._note()
        return 200, {}

    def _note(self) -> None:
        self.requests += 1
        self.latest = datetime.now(UTC)


async def connect_demo(resources: Resources, tenant: Tenant, url: str) -> None:
    """Make the activations of the demo, where it has none, and let those that it has lead to *url*.

    What an earlier version put there that led nowhere goes.
    """
    await resources.postgres.execute(_MADE_UP, tenant.id)
    there = await resources.activations.list(tenant)
    for activation in there:
        config = _config(activation.connector_type, url)
        if _leads_here(activation) and any(activation.config[name] != config[name] for name in _places(config)):
            changes = ActivationChanges(config={name: config[name] for name in _places(config)})
            await resources.activations.update(tenant, activation.id, changes)
    if there:
        return
    ids = {one.name: one.id for one in (await resources.segments.list(tenant, Window(_MANY))).results}
    for one in ACTIVATIONS:
        if one.segment in ids:
            await resources.activations.create(
                tenant,
                ids[one.segment],
                connector_type=one.connector_type,
                config=_config(one.connector_type, url),
                status="active" if one.is_active else "inactive",
            )


def _config(connector_type: str, url: str) -> dict[str, str]:
    if connector_type == "braze":
        return {"rest_endpoint": url + _BRAZE, "api_key": _KEY}
    return {"url": url + _WEBHOOK, "secret": _KEY}


def _places(config: Mapping[str, str]) -> list[str]:
    return [name for name, value in config.items() if value != _KEY]


def _leads_here(activation: Activation) -> bool:
    """Whether an activation is one of the demo's: on this machine, under a path of the catcher's."""
    wanted = {"braze": ("rest_endpoint", _BRAZE), "webhook": ("url", _WEBHOOK)}.get(activation.connector_type)
    if wanted is None:
        return False
    found = urlsplit(str(activation.config.get(wanted[0], "")))
    return found.hostname == "127.0.0.1" and found.path == wanted[1]
