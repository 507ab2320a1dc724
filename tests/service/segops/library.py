"""Every method of `segops-admin` that belongs to this product: what it is called with, and what it must return."""

from __future__ import annotations

import csv
import io

from tests.service.segops.calls import ANA, calls, missing, schema, users
from tests.service.segops.world import BUYERS, NOT_YET, World

# ── segments


@calls("segments.create", "POST /api/segments/")
def creates_a_segment(world: World) -> None:
    name = world.name("Buyers")
    made = world.admin.segments.create({"name": name, "definition": BUYERS})
    draft = world.admin.segments.create({"name": name, "tenant": 1, "segment_type": "rule", "description": "Later"})

    assert (made["name"], made["status"], made["member_count"]) == (name, "draft", None)
    assert made["definition"]["conditions"] == BUYERS["conditions"]
    assert (draft["definition"], draft["status"], draft["description"]) == (None, "draft", "Later")


@calls("segments.list", "GET /api/segments/")
def lists_segments(world: World) -> None:
    made = world.segment()
    page = world.admin.segments.list({"search": made["name"], "is_active": True, "page_size": 1})

    assert (page["count"], page["next"], page["previous"]) == (1, None, None)
    assert [each["id"] for each in page["results"]] == [made["id"]]


@calls("segments.iterate", "GET /api/segments/")
def iterates_over_segments(world: World) -> None:
    made = {world.segment(name=world.name("Walked"))["id"] for _ in range(3)}

    assert {each["id"] for each in world.admin.segments.iterate({"page_size": 2, "search": "Walked"})} >= made


@calls("segments.get", "GET /api/segments/<id>/")
def gets_a_segment(world: World) -> None:
    made = world.segment()

    assert world.admin.segments.get(made["id"])["words"] == made["words"]
    missing(lambda: world.admin.segments.get(10**9))


@calls("segments.update", "PATCH /api/segments/<id>/")
def updates_a_segment(world: World) -> None:
    made = world.segment()
    patched = world.admin.segments.update(made["id"], {"definition": NOT_YET})
    put = world.admin.segments.update(made["id"], patched | {"description": "All of it"}, method="PUT")

    assert (patched["definition"]["conditions"], patched["version"]) == (NOT_YET["conditions"], 2)
    assert (put["description"], put["name"]) == ("All of it", made["name"])
    assert put["definition"] == patched["definition"]


@calls("segments.delete", "DELETE /api/segments/<id>/")
def deletes_a_segment(world: World) -> None:
    made = world.segment()

    assert world.admin.segments.delete(made["id"]) is None
    missing(lambda: world.admin.segments.get(made["id"]))


@calls("segments.preview", "POST /api/segments/preview/")
def previews_a_definition(world: World) -> None:
    found = world.admin.segments.preview(BUYERS)

    assert found["matched_users"] == 2
    assert found["sample_user_ids"] == [ANA, "ben"]
    assert "{tenant:UInt32}" in found["sql"]


@calls("segments.estimate", "POST /api/segments/<id>/estimate/")
def estimates_a_segment(world: World) -> None:
    assert world.admin.segments.estimate(world.segment()["id"])["matched_users"] == 2


@calls("segments.versions", "GET /api/segments/<id>/versions/")
def tells_the_versions_of_a_segment(world: World) -> None:
    made = world.segment()
    world.admin.segments.update(made["id"], {"definition": NOT_YET})
    page = world.admin.segments.versions(made["id"])

    found = {each["version"]: each["definition"]["conditions"] for each in page["results"]}
    assert found == {1: BUYERS["conditions"], 2: NOT_YET["conditions"]}


@calls("segments.recompute", "POST /api/segments/<id>/compute/")
def recomputes_a_segment(world: World) -> None:
    made = world.segment()
    queued = world.admin.segments.recompute(made["id"])
    done = world.until(lambda: world.admin.segments.get(made["id"]), lambda it: it["status"] == "computed")

    assert queued["status"] == "queued"
    assert done["member_count"] == 2


@calls("segments.members", "GET /api/segments/<id>/members/")
def lists_members(world: World) -> None:
    made = world.computed()
    first = world.admin.segments.members(made["id"], {"limit": 1})
    second = world.admin.segments.members(made["id"], {"limit": 1, "cursor": first["next_cursor"]})

    assert users(first) + users(second) == [ANA, "ben"]
    assert second["next_cursor"] is None
    assert users(world.admin.segments.members(made["id"], {"page": 2, "page_size": 1})) == ["ben"]
    assert first["results"][0]["computed_at"].endswith("Z")


@calls("segments.membership", "GET /api/segments/membership/")
def tells_the_segments_of_a_user(world: World) -> None:
    made = world.computed()
    found = world.admin.segments.membership(ANA)

    assert found["user_id"] == ANA
    assert made["id"] in [each["segment_id"] for each in found["segments"]]
    assert world.admin.segments.membership("cleo")["segments"] == []


@calls("segments.export", "POST /api/segments/<id>/export/")
def exports_members(world: World) -> None:
    made = world.computed()
    job = world.admin.segments.export(made["id"])
    path = f"/api/segments/{made['id']}/export/?export_id={job['export_id']}"
    done = world.until(lambda: world.send("GET", path), lambda it: it["status"] != "pending")
    rows = list(csv.DictReader(io.StringIO(world.fetch("GET", done["download_url"]).decode())))

    assert (job["id"], job["status"]) == (job["export_id"], "pending")
    assert (done["status"], done["format"]) == ("complete", "csv")
    assert [row["user_id"] for row in rows] == [ANA, "ben"]
    assert set(rows[0]) == {"user_id", "computed_at"}
    for other in ("parquet", "ndjson"):
        assert world.admin.segments.export(made["id"], format=other)["format"] == other


# ── event schemas


@calls("schemas.create", "POST /api/schemas/")
def creates_a_schema(world: World) -> None:
    made = schema(world, description="Somebody paid")

    assert made["description"] == "Somebody paid"
    assert [(each["name"], each["type"], each["required"]) for each in made["properties"]] == [
        ("total", "number", True)
    ]


@calls("schemas.list", "GET /api/schemas/")
def lists_schemas(world: World) -> None:
    made = schema(world)
    page = world.admin.schemas.list({"page_size": 200})

    assert made["id"] in [each["id"] for each in page["results"]]
    assert page["count"] == len(page["results"])


@calls("schemas.iterate", "GET /api/schemas/")
def iterates_over_schemas(world: World) -> None:
    made = {schema(world)["id"] for _ in range(3)}

    assert {each["id"] for each in world.admin.schemas.iterate({"page_size": 2})} >= made


@calls("schemas.get", "GET /api/schemas/<id>/")
def gets_a_schema(world: World) -> None:
    made = schema(world)

    assert world.admin.schemas.get(made["id"])["event_type"] == made["event_type"]
    missing(lambda: world.admin.schemas.get(10**9))


@calls("schemas.update", "PATCH /api/schemas/<id>/")
def updates_a_schema(world: World) -> None:
    made = schema(world)
    changed = world.admin.schemas.update(made["id"], {"description": "Anew"})
    put = world.admin.schemas.update(made["id"], changed | {"properties": []}, method="PUT")

    assert (changed["description"], len(changed["properties"])) == ("Anew", 1)
    assert (put["description"], put["properties"]) == ("Anew", [])


@calls("schemas.delete", "DELETE /api/schemas/<id>/")
def deletes_a_schema(world: World) -> None:
    made = schema(world)

    assert world.admin.schemas.delete(made["id"]) is None
    missing(lambda: world.admin.schemas.get(made["id"]))


@calls("schemas.infer", "POST /api/schemas/infer/")
def infers_schemas(world: World) -> None:
    payloads = [{"total": 5.5, "coupon": "A"}, {"total": 6}]
    events = [{"user_id": "u", "event_type": "tried", "payload": payload} for payload in payloads]
    (found,) = world.admin.schemas.infer(events)["schemas"]

    assert (found["event_type"], found["events"]) == ("tried", 2)
    assert {each["name"]: (each["type"], each["required"]) for each in found["properties"]} == {
        "total": ("number", True),
        "coupon": ("string", False),
    }


@calls("schemas.validate", "POST /api/schemas/validate/")
def validates_a_payload(world: World) -> None:
    made = schema(world)
    wrong = world.admin.schemas.validate(made["event_type"], {"total": "much"})

    assert world.admin.schemas.validate(made["event_type"], {"total": 5})["valid"] is True
    assert (wrong["valid"], wrong["errors"][0]["pointer"]) == (False, "/payload/total")


# ── users


@calls("users.search", "GET /api/explorer/users/")
def searches_users(world: World) -> None:
    found = world.admin.users.search({"q": "ana", "limit": 5})

    assert (found["count"], users(found)) == (1, [ANA])
    assert found["results"][0]["event_count"] == 2


@calls("users.get", "GET /api/explorer/users/<user_id>/")
def gets_a_profile(world: World) -> None:
    found = world.admin.users.get(ANA)

    assert (found["user_id"], found["properties"]) == (ANA, {"country": "ES"})
    assert found["event_type_count"] == 2
    missing(lambda: world.admin.users.get("nobody"))


@calls("users.events", "GET /api/explorer/users/<user_id>/events/")
def lists_events_of_a_user(world: World) -> None:
    found = world.admin.users.events(ANA, {"event_type": "order_placed", "since": "2000-01-01", "limit": 5})

    assert [each["event_type"] for each in found["results"]] == ["order_placed"]
    assert found["results"][0]["payload"] == {"total": 120.5, "coupon": "SPRING"}


@calls("users.segments", "GET /api/explorer/users/<user_id>/segments/")
def lists_segments_of_a_user(world: World) -> None:
    made = world.computed()
    found = {each["segment_id"]: each for each in world.admin.users.segments(ANA)}

    assert (found[made["id"]]["segment_name"], found[made["id"]]["member_count"]) == (made["name"], 2)


@calls("users.explain", "GET /api/explorer/users/<user_id>/segments/<id>/explain/")
def explains_a_user(world: World) -> None:
    (told,) = world.admin.users.explain(ANA, world.segment()["id"])

    assert (told["index"], told["type"], told["label"]) == (0, "event_count", "who placed an order")
    assert (told["actual_value"], told["threshold"], told["matches"]) == (1, 1, True)


@calls("users.publish_sandbox", "POST /api/explorer/sandbox/publish/")
def tries_an_event_in_the_sandbox(world: World) -> None:
    buyers, others = world.segment(), world.segment(definition=NOT_YET)
    told = world.admin.users.publish_sandbox({"user_id": "cleo", "event_type": "order_placed", "payload": {"total": 9}})

    assert told["published"] is True
    assert buyers["id"] in [each["id"] for each in told["entered"]]
    assert others["id"] in [each["id"] for each in told["exited"]]
    assert world.admin.users.events("cleo", {"event_type": "order_placed"})["results"] == []


# ── identity


@calls("identity.alias", "POST /api/identity/alias/")
def links_an_anonymous_visitor(world: World) -> None:
    first, second = world.name("visitor"), world.name("visitor")
    linked = world.admin.identity.alias("device-1", first)
    kept = world.admin.identity.alias("device-1", second)

    assert (linked["status"], linked["user_id"], linked["anonymous_id"]) == ("linked", first, "device-1")
    assert (kept["status"], kept["user_id"]) == ("kept", first)


@calls("identity.merge", "POST /api/identity/merge/")
def merges_two_users(world: World) -> None:
    one, other = world.name("twin"), world.name("twin")
    with world.tracking() as client:
        for user_id in (one, other):
            client.track(user_id=user_id, event_type="page_viewed")
    merged = world.admin.identity.merge(one, other)
    world.settle()

    assert merged == {"status": "merged", "from_user_id": one, "into_user_id": other}
    assert world.admin.users.get(other)["event_count"] == 2


# ── analytics


@calls("analytics.overview", "GET /api/analytics/overview/")
def tells_an_overview(world: World) -> None:
    world.computed()
    told = world.admin.analytics.overview()

    assert told["segment_count"] >= 1
    assert told["total_members"] >= 2
    assert told["events_30d"] >= 3


@calls("analytics.segments", "GET /api/analytics/segments/")
def tells_segments_with_their_trend(world: World) -> None:
    made = world.computed()
    (told,) = [each for each in world.admin.analytics.segments() if each["id"] == made["id"]]

    assert (told["name"], told["member_count"]) == (made["name"], 2)
    assert isinstance(told["trend"], list)


@calls("analytics.overlap", "GET /api/analytics/overlap/")
def tells_how_segments_overlap(world: World) -> None:
    one, other = world.computed(), world.computed()
    told = world.admin.analytics.overlap()

    assert len(told) <= 20
    assert all((each["overlap"], each["overlap_pct"]) == (2, 100.0) for each in told)
    assert {one["id"], other["id"]} & {each[side] for each in told for side in ("seg_a_id", "seg_b_id")}


@calls("analytics.usage", "GET /api/analytics/usage/")
def tells_the_usage(world: World) -> None:
    told = world.admin.analytics.usage()

    assert told["events"] >= 4
    assert told["mtu_computed"] >= 3
