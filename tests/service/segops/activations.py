"""Every call about activations, of the library and of the command line."""

from __future__ import annotations

from typing import Any

from tests.service.segops.calls import calls, missing
from tests.service.segops.world import World

BUCKET: dict[str, Any] = {
    "url": "https://s3.example.com/bucket",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "s3cret",
}


def activation(world: World, **fields: Any) -> dict[str, Any]:
    """A new activation of a segment whose members are known; it writes to a directory of the service."""
    wanted = {"segment": world.computed()["id"], "connector_type": "csv", "config": {"directory": "buyers"}}
    return world.admin.activations.create(wanted | fields)


def delivered(world: World, made: dict[str, Any]) -> dict[str, Any]:
    """The one delivery of an activation, once it is done."""
    path = f"/api/activations/{made['id']}/deliveries/"
    found = world.until(lambda: world.send("GET", path)["results"], lambda rows: rows and rows[0]["status"] == "done")
    return found[0]


@calls("activations.create", "POST /api/activations/")
def creates_an_activation(world: World) -> None:
    made = activation(world, config=BUCKET)

    assert (made["status"], made["last_synced_at"], made["last_error"]) == ("inactive", None, None)
    assert made["config"]["secret_access_key"] == "***"
    assert "s3cret" not in str(made)


@calls("activations.list", "GET /api/activations/")
def lists_activations(world: World) -> None:
    made = activation(world)
    page = world.admin.activations.list({"segment": made["segment"]})

    assert (page["count"], page["results"]) == (1, [made])


@calls("activations.iterate", "GET /api/activations/")
def goes_through_activations(world: World) -> None:
    made = [activation(world), activation(world)]

    ids = [each["id"] for each in world.admin.activations.iterate({"page_size": 1})]
    assert {each["id"] for each in made} <= set(ids)


@calls("activations.get", "GET /api/activations/<id>/")
def gets_an_activation(world: World) -> None:
    made = activation(world)

    assert world.admin.activations.get(made["id"]) == made


@calls("activations.update", "PATCH /api/activations/<id>/")
def changes_an_activation(world: World) -> None:
    made = activation(world)
    changed = world.admin.activations.update(made["id"], {"status": "active"})

    assert changed["status"] == "active"
    assert delivered(world, made)["entered"] == 2
    bucket = activation(world, config=BUCKET)
    assert world.admin.activations.update(bucket["id"], bucket)["config"] == bucket["config"]


@calls("activations.delete", "DELETE /api/activations/<id>/")
def deletes_an_activation(world: World) -> None:
    made = activation(world)

    assert world.admin.activations.delete(made["id"]) is None
    missing(lambda: world.admin.activations.get(made["id"]))


@calls("activations.sync", "POST /api/activations/<id>/sync/")
def syncs_an_activation(world: World) -> None:
    made = activation(world)
    asked = world.admin.activations.sync(made["id"])

    assert (asked["status"], asked["delivery_id"]) == ("queued", delivered(world, made)["id"])
    synced = world.admin.activations.get(made["id"])
    assert synced["last_synced_at"] is not None
    assert synced["last_error"] is None


@calls("analytics.activations", "GET /api/analytics/activations/")
def tells_how_activations_fare(world: World) -> None:
    made = activation(world)
    world.admin.activations.sync(made["id"])
    delivered(world, made)

    (told,) = [each for each in world.admin.analytics.activations() if each["id"] == made["id"]]

    assert (told["success_rate"], told["member_count"], told["last_error"]) == (100, 2, "")
    assert [(each["status"], each["user_count"], each["error_message"]) for each in told["sync_logs"]] == [
        ("success", 2, "")
    ]


@calls("segops-admin activations list", "GET /api/activations/")
def cli_lists_activations(world: World) -> None:
    made = activation(world)

    assert made["id"] in [each["id"] for each in world.cli("activations", "list")["results"]]


@calls("segops-admin activations sync", "POST /api/activations/<id>/sync/")
def cli_syncs_an_activation(world: World) -> None:
    made = activation(world)

    assert world.cli("activations", "sync", str(made["id"]))["status"] == "queued"
