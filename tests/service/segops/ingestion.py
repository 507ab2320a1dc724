"""Every method of `segops`, with a secret key and with a public one: what it is called with, and what must arrive."""

from __future__ import annotations

from typing import Any

from segops import sign_user_id
from tests.service.segops.calls import calls
from tests.service.segops.world import World, whoever


def arrived(world: World, user_id: str, event_type: str) -> list[dict[str, Any]]:
    world.settle()
    return world.admin.users.events(user_id, {"event_type": event_type})["results"]


@calls("SegOpsClient.track", "POST /api/ingestion/track/")
def tracks_an_event(world: World) -> None:
    user_id = world.name("tracked")
    with world.tracking(batch=False) as client:
        client.track(user_id=user_id, event_type="signed_up", payload={"plan": "pro"})

    assert [each["payload"] for each in arrived(world, user_id, "signed_up")] == [{"plan": "pro"}]


@calls("SegOpsClient.identify", "POST /api/ingestion/track/")
def identifies_a_user(world: World) -> None:
    user_id = world.name("identified")
    with world.tracking(batch=False) as client:
        client.identify(user_id=user_id, traits={"plan": "pro"})
    world.settle()

    assert world.admin.users.get(user_id)["properties"] == {"plan": "pro"}


@calls("SegOpsClient.flush", "POST /api/ingestion/track/batch/")
def flushes_events(world: World) -> None:
    user_id = world.name("flushed")
    with world.tracking() as client:
        for number in range(3):
            client.track(user_id=user_id, event_type="signed_up", payload={"number": number})
        client.flush()

    assert len(arrived(world, user_id, "signed_up")) == 3


@calls("SegOpsClient.shutdown", "POST /api/ingestion/track/batch/")
def shuts_down_without_loss(world: World) -> None:
    user_id = world.name("last")
    with world.tracking(flush_interval=600) as client:
        client.track(user_id=user_id, event_type="signed_up")

    assert len(arrived(world, user_id, "signed_up")) == 1


@calls("SegOpsClient.track with a public key", "POST /api/ingestion/track/")
def tracks_one_user_with_a_public_key(world: World) -> None:
    public = world.public_key(require_signed_user_id=True)
    visitor = world.name("visitor")
    signed = sign_user_id(public["hmac_secret"], visitor)
    with world.tracking(public["key"], batch=False, get_user=whoever(**signed)) as client:
        client.track(user_id="somebody else", event_type="signed_up", payload={"plan": "pro"})

    assert [each["payload"] for each in arrived(world, visitor, "signed_up")] == [{"plan": "pro"}]


@calls("SegOpsClient.flush with a public key", "POST /api/ingestion/track/batch/")
def flushes_events_of_an_anonymous_visitor(world: World) -> None:
    device = world.name("device").replace(" ", "-")
    with world.tracking(world.public_key()["key"], get_user=whoever(anonymous_id=device)) as client:
        client.track(user_id="whoever", event_type="signed_up")

    assert len(arrived(world, f"anon_{device}", "signed_up")) == 1


@calls("SegOpsClient.reset_session", "POST /api/auth/session/")
def opens_another_session(world: World) -> None:
    seen: list[str] = []
    public = world.public_key()

    def visitor() -> Any:
        seen.append(world.name("login").replace(" ", "-"))
        return whoever(user_id=seen[-1])()

    with world.tracking(public["key"], batch=False, get_user=visitor) as client:
        client.track(user_id="x", event_type="signed_up")
        client.reset_session()
        client.track(user_id="x", event_type="signed_up")

    assert [len(arrived(world, user_id, "signed_up")) for user_id in seen] == [1, 1]
