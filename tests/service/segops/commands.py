"""Every command of `segops-admin` that belongs to this product: what it is called with, and what it must print."""

from __future__ import annotations

from tests.service.segops.calls import ANA, calls, missing, schema, users
from tests.service.segops.world import BUYERS, World


@calls("segops-admin segments list", "GET /api/segments/")
def cli_lists_segments(world: World) -> None:
    made = world.segment()

    assert [each["id"] for each in world.cli("segments", "list", f"--search={made['name']}")["results"]] == [made["id"]]


@calls("segops-admin segments get", "GET /api/segments/<id>/")
def cli_gets_a_segment(world: World) -> None:
    made = world.segment()

    assert world.cli("segments", "get", str(made["id"]))["words"] == made["words"]


@calls("segops-admin segments create", "POST /api/segments/")
def cli_creates_a_segment(world: World) -> None:
    name = world.name("Buyers")

    assert world.cli("segments", "create", world.file({"name": name, "definition": BUYERS}))["name"] == name


@calls("segops-admin segments recompute", "POST /api/segments/<id>/compute/")
def cli_recomputes_a_segment(world: World) -> None:
    assert world.cli("segments", "recompute", str(world.segment()["id"]))["status"] == "queued"


@calls("segops-admin segments members", "GET /api/segments/<id>/members/")
def cli_lists_members(world: World) -> None:
    assert users(world.cli("segments", "members", str(world.computed()["id"]), "--limit", "5")) == [ANA, "ben"]


@calls("segops-admin segments membership", "GET /api/segments/membership/")
def cli_tells_the_segments_of_a_user(world: World) -> None:
    made = world.computed()

    assert made["id"] in [each["segment_id"] for each in world.cli("segments", "membership", ANA)["segments"]]


@calls("segops-admin segments export", "POST /api/segments/<id>/export/")
def cli_exports_members(world: World) -> None:
    assert world.cli("segments", "export", str(world.computed()["id"]), "--format=parquet")["format"] == "parquet"


@calls("segops-admin segments delete", "DELETE /api/segments/<id>/")
def cli_deletes_a_segment(world: World) -> None:
    made = world.segment()

    assert world.cli("segments", "delete", str(made["id"])) == {"ok": True}
    missing(lambda: world.admin.segments.get(made["id"]))


@calls("segops-admin schemas list", "GET /api/schemas/")
def cli_lists_schemas(world: World) -> None:
    made = schema(world)

    assert made["id"] in [each["id"] for each in world.cli("schemas", "list")["results"]]


@calls("segops-admin schemas validate", "POST /api/schemas/validate/")
def cli_validates_a_payload(world: World) -> None:
    made = schema(world)

    assert world.cli("schemas", "validate", made["event_type"], world.file({"total": "much"}))["valid"] is False


@calls("segops-admin users search", "GET /api/explorer/users/")
def cli_searches_users(world: World) -> None:
    assert users(world.cli("users", "search", "--q=ana")) == [ANA]


@calls("segops-admin users get", "GET /api/explorer/users/<user_id>/")
def cli_gets_a_profile(world: World) -> None:
    assert world.cli("users", "get", ANA)["properties"] == {"country": "ES"}


@calls("segops-admin users events", "GET /api/explorer/users/<user_id>/events/")
def cli_lists_events_of_a_user(world: World) -> None:
    assert len(world.cli("users", "events", ANA, "--event_type=order_placed")["results"]) == 1


@calls("segops-admin analytics overview", "GET /api/analytics/overview/")
def cli_tells_an_overview(world: World) -> None:
    assert world.cli("analytics", "overview")["events_30d"] >= 3


@calls("segops-admin analytics usage", "GET /api/analytics/usage/")
def cli_tells_the_usage(world: World) -> None:
    assert world.cli("analytics", "usage")["events"] >= 4
