"""The connector `braze` marks members in Braze: by a custom attribute, or by the state of a subscription group.

Users are matched by `external_id`, which is our user id. Both calls set a state rather than change it, so that the same
batch may be sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from segment_copilot.activations.connectors.answers import hide, retry_after
from segment_copilot.activations.connectors.configs import Config, Secret, Url
from segment_copilot.activations.connectors.contract import Batch, Outcome, Rejected
from segment_copilot.activations.connectors.services import Service, fail, read
from segment_copilot.activations.outgoing import Answer, Outgoing

MOST_TRACKED: Final = 75
MOST_SUBSCRIBED: Final = 50

_TIMEOUT: Final = timedelta(seconds=30)
_LONGEST: Final = timedelta(hours=1)
_BAD_REQUEST: Final = 400

_BRAZE: Final = Service(
    name="Braze",
    wrong_key="Braze does not know this API key. Copy a REST API key from Braze (Settings → APIs and Identifiers), "
    "and look that rest_endpoint is the one of the same instance.",
    few_rights="Braze knows the API key, but it may not do this. Give it the permission users.track "
    "(subscription.status.set with a segment_id) in Braze.",
    missing="rest_endpoint is not a REST endpoint of Braze. It looks like https://rest.iad-01.braze.com.",
)


class BrazeConfig(Config, frozen=True, kw_only=True):
    """Says which workspace of Braze is meant, and the subscription group that stands for the segment, if one does."""

    rest_endpoint: Url
    api_key: Secret
    segment_id: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """The id of a subscription group: with it, members are subscribed, and no attribute is set."""


class _Problem(Struct, frozen=True):
    """An error about one object of a request: *index* says which."""

    type: str = ""
    input_array: str = ""
    index: int | None = None


class _Said(Struct, frozen=True):
    message: str = ""
    errors: list[_Problem | str] = []


class Braze:
    """Sets `segops_segment_<id>` on users: true on those who entered, false on those who left."""

    name = "braze"
    summary = "Sets an attribute of the segment on users of Braze, or subscribes them to a subscription group."
    config = BrazeConfig
    batch_size = MOST_TRACKED

    def traits(self, config: BrazeConfig) -> tuple[str, ...]:  # noqa: ARG002
        """Return none: Braze is told of the id alone."""
        return ()

    def is_full(self, config: BrazeConfig) -> bool:  # noqa: ARG002
        """Return False: what changed is enough."""
        return False

    async def check(self, config: BrazeConfig, outgoing: Outgoing) -> None:
        """Send a request about nobody: Braze judges the key first, and then finds nothing to do."""
        if config.segment_id is None:
            answer = await _post("/users/track", {"attributes": []}, config, outgoing)
        else:
            answer = await _subscribe("subscribed", [], config, outgoing)
        if answer.status != _BAD_REQUEST:
            _require_good(answer, config)

    async def send(self, batch: Batch, config: BrazeConfig, outgoing: Outgoing) -> Outcome:
        """Set the state of everybody in the batch."""
        if config.segment_id is None:
            return Outcome(await _track(batch, config, outgoing))
        for state, users in (("subscribed", batch.entered), ("unsubscribed", batch.left)):
            for start in range(0, len(users), MOST_SUBSCRIBED):
                part = [user.user_id for user in users[start : start + MOST_SUBSCRIBED]]
                _require_good(await _subscribe(state, part, config, outgoing), config)
        return Outcome()


async def _track(batch: Batch, config: BrazeConfig, outgoing: Outgoing) -> tuple[Rejected, ...]:
    """Set the attribute. Who left and is unknown to Braze is not made there for it."""
    name = f"segops_segment_{batch.segment_id}"
    attributes: list[dict[str, Any]] = [{"external_id": user.user_id, name: True} for user in batch.entered]
    attributes += [{"external_id": user.user_id, name: False, "_update_existing_only": True} for user in batch.left]
    if not attributes:
        return ()
    answer = await _post("/users/track", {"attributes": attributes}, config, outgoing)
    _require_good(answer, config)
    said = read(answer, _Said) or _Said()
    reasons: dict[int, str] = {}
    for error in said.errors:
        if isinstance(error, _Problem) and error.index is not None and 0 <= error.index < len(attributes):
            reasons.setdefault(error.index, hide(error.type, [config.api_key]) or "Braze does not say why.")
    return tuple(Rejected(attributes[index]["external_id"], reason) for index, reason in sorted(reasons.items()))


async def _subscribe(state: str, user_ids: Sequence[str], config: BrazeConfig, outgoing: Outgoing) -> Answer:
    body = {"subscription_group_id": config.segment_id, "subscription_state": state, "external_id": user_ids}
    return await _post("/subscription/status/set", body, config, outgoing)


async def _post(path: str, body: object, config: BrazeConfig, outgoing: Outgoing) -> Answer:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {config.api_key.strip()}"}
    url = config.rest_endpoint.rstrip("/") + path
    return await outgoing.request("POST", url, headers=headers, body=msgspec.json.encode(body), timeout=_TIMEOUT)


def _require_good(answer: Answer, config: BrazeConfig) -> None:
    if answer.is_good:
        return
    said = read(answer, _Said) or _Said()
    fail(answer, _BRAZE, told=said.message, secret=config.api_key, after=_after(answer, now=datetime.now(UTC)))


def _after(answer: Answer, *, now: datetime) -> timedelta | None:
    """Return when Braze takes requests again: it says the second at which its window begins anew."""
    seconds = answer.headers.get("x-ratelimit-retry-after", "")
    if seconds.isascii() and seconds.isdigit():
        return min(timedelta(seconds=int(seconds[:9])), _LONGEST)
    reset = answer.headers.get("x-ratelimit-reset", "").partition(".")[0]
    if reset.isascii() and reset.isdigit() and len(reset) <= len("9999999999"):
        return min(max(datetime.fromtimestamp(int(reset), UTC) - now, timedelta(0)), _LONGEST)
    return retry_after(answer, now=now)
