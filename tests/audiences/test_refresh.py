"""Segments that keep themselves true: what is due when, together, once, in fair turns; and what happens when it fails."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.schedules import LIVE_EVERY, Wanted, interval_of, next_after, to_interval
from segment_copilot.audiences.segments import Changes, Segment
from segment_copilot.errors import Conflict, InvalidInput, NotFound
from segment_copilot.language import encode
from segment_copilot.resources import Resources

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}
SPANIARDS = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
}
AUTO = Wanted("auto")


@pytest.fixture
async def resources(module_resources: Resources) -> Resources:
    """This module's stores, with nothing due of the tests before."""
    for sql in (
        "UPDATE segments SET refresh_mode = 'manual', next_refresh_at = NULL",
        "DELETE FROM trait_changes",
        "DELETE FROM computation_turns",
        "DELETE FROM computations",
    ):
        await module_resources.postgres.execute(sql)
    return module_resources


@pytest.fixture
async def tenant(resources: Resources, request: pytest.FixtureRequest) -> Tenant:
    return await resources.tenants.create(f"t-{abs(hash(request.node.name))}")


@pytest.fixture
async def rival(resources: Resources, request: pytest.FixtureRequest) -> Tenant:
    return await resources.tenants.create(f"r-{abs(hash(request.node.name))}")


@pytest.fixture
def now() -> datetime:
    """The present, to which all later instants of a test are relative."""
    return datetime.now(UTC) + SECOND  # what is saved in the test is due by then


async def save(resources: Resources, tenant: Tenant, definition: Any = BUYERS, refresh: Wanted = AUTO) -> Segment:
    return (await resources.segments.create(tenant, name="A", definition=definition, refresh=refresh)).segment


async def again(resources: Resources, tenant: Tenant, segment: Segment) -> Segment:
    return await resources.segments.get(tenant, segment.id)


async def queued(resources: Resources) -> list[tuple[int, str, datetime]]:
    """What waits: segment, cause and instant."""
    rows = await resources.postgres.fetch(
        "SELECT segment_id, cause, as_of FROM computations WHERE status = 'queued' ORDER BY id"
    )
    return [(row["segment_id"], row["cause"], row["as_of"]) for row in rows]


async def compute(resources: Resources) -> None:
    while await resources.computations.run_next():
        pass


async def identify(resources: Resources, tenant: Tenant, user_id: str, at: datetime, **traits: Any) -> None:
    """An identify is accepted and forwarded."""
    event = {"user_id": user_id, "event_type": "context_identified", "occurred_at": at.isoformat(), "payload": traits}
    taken = await resources.ingestion.accept(tenant, [event], received_at=at)
    assert taken.queued == 1
    while await resources.forwarding.forward_next():
        pass


async def members(resources: Resources, tenant: Tenant, segment: Segment) -> list[str]:
    return [member.user_id for member in (await resources.members.page(tenant, segment.id)).members]


async def refuse(resources: Resources, segment: Segment, *, refused: bool = True) -> None:
    """Let ClickHouse refuse this segment's members, or take them again."""
    change = f"ADD CONSTRAINT refused CHECK segment_id != {segment.id}" if refused else "DROP CONSTRAINT refused"
    await resources.clickhouse.execute(f"ALTER TABLE segment_states {change}", purpose="migrate")


# When


async def test_a_new_segment_is_due_at_once_and_then_by_its_interval(
    resources: Resources, tenant: Tenant, now: datetime
):
    hourly = await save(resources, tenant, refresh=Wanted("interval", "1h"))
    assert (hourly.refresh.mode, hourly.refresh.every, hourly.last_refreshed_at) == ("interval", "1h", None)
    assert hourly.next_refresh_at == hourly.created_at

    assert await resources.refreshing.refresh_due(now=now)

    assert await queued(resources) == [(hourly.id, "schedule", now)]
    await compute(resources)
    hourly = await again(resources, tenant, hourly)
    assert (hourly.status, hourly.last_refreshed_at, hourly.last_computed_at) == ("computed", now, now)
    due = hourly.next_refresh_at
    assert due is not None
    assert due == next_after(now, HOUR, tenant.id)
    assert not await resources.refreshing.refresh_due(now=due - SECOND)
    assert await resources.refreshing.refresh_due(now=due)
    assert (await again(resources, tenant, hourly)).next_refresh_at == due + HOUR


async def test_what_is_manual_a_draft_static_or_inactive_is_never_due(
    resources: Resources, tenant: Tenant, now: datetime
):
    create = resources.segments.create
    for made in (
        await save(resources, tenant, refresh=Wanted("manual")),
        (await create(tenant, name="A", refresh=AUTO)).segment,
        (await create(tenant, name="A", segment_type="static")).segment,
        (await create(tenant, name="A", definition=BUYERS, is_active=False, refresh=AUTO)).segment,
    ):
        assert made.next_refresh_at is None
    assert not await resources.refreshing.refresh_due(now=now + DAY)


@pytest.mark.parametrize(
    "change",
    [
        Changes(definition=SPANIARDS),
        Changes(refresh=Wanted("interval", "30m")),
        Changes(refresh=Wanted("live")),
    ],
)
async def test_a_change_of_what_is_asked_is_due_at_once(
    resources: Resources, tenant: Tenant, now: datetime, change: Changes
):
    segment = await save(resources, tenant)
    await resources.refreshing.refresh_due(now=now)
    await compute(resources)
    renamed = (await resources.segments.update(tenant, segment.id, Changes(name="B"))).segment
    assert renamed.next_refresh_at == next_after(now, 3 * HOUR, tenant.id)

    changed = (await resources.segments.update(tenant, segment.id, change)).segment

    assert changed.next_refresh_at == changed.updated_at
    refreshing = resources.refreshing
    refresh = refreshing.refresh_live if changed.refresh.mode == "live" else refreshing.refresh_due
    assert await refresh(now=now + SECOND)


async def test_what_refers_to_a_segment_is_due_at_once_when_that_means_others(
    resources: Resources, tenant: Tenant, rival: Tenant, now: datetime
):
    """By its definition, also through another one, or by an upload; not what is paused or refers to nothing of it."""
    asked = await save(resources, tenant)
    listed = (await resources.segments.create(tenant, name="Listed", segment_type="static")).segment

    def referring(segment: Segment) -> Any:
        return {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": segment.id}]}

    near = await save(resources, tenant, referring(asked))
    far = await save(resources, tenant, referring(near))
    paused, apart, theirs = await save(resources, tenant, referring(asked)), await save(resources, tenant), await save(resources, rival)  # fmt: skip
    of_list = await save(resources, tenant, referring(listed))
    saved = [asked, near, far, paused, apart, theirs, of_list]
    await resources.refreshing.pause(tenant, paused.id, now=now)

    async def due() -> list[Segment]:
        """What is due by now, and then only later."""
        sql = "SELECT id FROM segments WHERE next_refresh_at <= now()"
        ids = {row["id"] for row in await resources.postgres.fetch(sql)}
        later = "UPDATE segments SET next_refresh_at = now() + interval '1 hour' WHERE next_refresh_at IS NOT NULL"
        await resources.postgres.execute(later)
        return [one for one in saved if one.id in ids]

    await due()
    await resources.segments.update(tenant, asked.id, Changes(name="B"))
    assert await due() == []
    await resources.segments.update(tenant, asked.id, Changes(definition=SPANIARDS))
    assert await due() == [asked, near, far]
    await resources.uploads.receive(tenant, listed.id, ["ana"], mode="add")
    await compute(resources)
    assert await due() == [of_list]
    await resources.uploads.receive(tenant, listed.id, ["ana"], mode="add")  # who is there already
    await compute(resources)
    assert await due() == []


async def test_activity_and_definitions_decide_whether_it_is_due(resources: Resources, tenant: Tenant):
    draft = (await resources.segments.create(tenant, name="A", refresh=AUTO)).segment
    update = resources.segments.update
    written = (await update(tenant, draft.id, Changes(definition=BUYERS))).segment
    resting = (await update(tenant, draft.id, Changes(is_active=False))).segment
    active = (await update(tenant, draft.id, Changes(is_active=True))).segment
    manual = (await update(tenant, draft.id, Changes(refresh=Wanted("manual")))).segment

    due = [one.next_refresh_at is not None for one in (draft, written, resting, active, manual)]
    assert due == [False, True, False, True, False]


async def test_a_copy_is_refreshed_as_the_first_is_but_not_paused(resources: Resources, tenant: Tenant, now: datetime):
    segment = await save(resources, tenant, refresh=Wanted("interval", "2d"))
    await resources.refreshing.pause(tenant, segment.id, now=now)
    copy = (await resources.segments.copy(tenant, segment.id)).segment
    assert (copy.refresh.mode, copy.refresh.every, copy.refresh.paused_since) == ("interval", "2d", None)
    assert copy.next_refresh_at is not None


@pytest.mark.parametrize("every", ["0h", "30s", "31d", "5w", "1mo", "1y", "", "3", "-3h", "3 h", "three hours"])
def test_an_interval_that_is_none_is_refused(every: str):
    with pytest.raises(InvalidInput) as refused:
        to_interval(every)
    (finding,) = refused.value.findings
    assert (finding.pointer, finding.code) == ("/refresh/every", "bad_interval")


def test_intervals_are_lengths():
    said = {"1m": MINUTE, "90m": 90 * MINUTE, "3h": 3 * HOUR, "1d": DAY, "2w": 14 * DAY, "30d": 30 * DAY}
    assert {text: to_interval(text) for text in said} == said
    assert interval_of("live", None, DAY) == LIVE_EVERY < MINUTE
    assert interval_of("auto", None, DAY) == DAY


@pytest.mark.parametrize(
    ("refresh", "pointer", "code"),
    [
        (Wanted("interval"), "/refresh/every", "missing_interval"),
        (Wanted("auto", "3h"), "/refresh/every", "unexpected_interval"),
        (Wanted("live", "1m"), "/refresh/every", "unexpected_interval"),
        (Wanted("manual", "1d"), "/refresh/every", "unexpected_interval"),
        (Wanted("interval", "1s"), "/refresh/every", "bad_interval"),
    ],
)
async def test_what_does_not_go_together_is_refused(
    resources: Resources, tenant: Tenant, refresh: Wanted, pointer: str, code: str
):
    segment = await save(resources, tenant)
    for write in (
        resources.segments.create(tenant, name="A", definition=BUYERS, refresh=refresh),
        resources.segments.update(tenant, segment.id, Changes(refresh=refresh)),
    ):
        with pytest.raises(InvalidInput) as refused:
            await write
        assert [(one.pointer, one.code) for one in refused.value.findings] == [(pointer, code)]


async def test_a_segment_that_ranks_users_is_never_live(resources: Resources, tenant: Tenant):
    """Nor one that refers to such a segment: what happens to one user may move any other."""
    rank = {"type": "rank", "by": {"measure": "count", "event_type": "buy"}, "top": 1}
    ranking = (await resources.segments.create(tenant, name="R", definition=of(rank))).segment
    member = {"type": "segment_membership", "segment_id": ranking.id}
    referring = (await resources.segments.create(tenant, name="M", definition=of(member))).segment
    buyers = (await resources.segments.create(tenant, name="B", definition=of(BUY), refresh=Wanted("live"))).segment
    for refused in (
        resources.segments.create(tenant, name="L", definition=of(rank), refresh=Wanted("live")),
        resources.segments.update(tenant, ranking.id, Changes(refresh=Wanted("live"))),
        resources.segments.update(tenant, referring.id, Changes(refresh=Wanted("live"))),
        resources.segments.update(tenant, buyers.id, Changes(definition=of(rank))),
    ):
        with pytest.raises(InvalidInput) as error:
            await refused
        assert [(one.pointer, one.code) for one in error.value.findings] == [("/refresh/mode", "ranks_users")]
    changed = Changes(definition=of(rank), refresh=Wanted("interval", "1h"))
    assert (await resources.segments.update(tenant, buyers.id, changed)).segment.refresh.mode == "interval"


def of(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"logic": "AND", "conditions": list(conditions)}


BUY = {"type": "event_count", "event_type": "buy"}


async def test_a_static_segment_has_nothing_to_refresh(resources: Resources, tenant: Tenant):
    static = (await resources.segments.create(tenant, name="A", segment_type="static")).segment
    assert static.refresh.mode == "manual"
    for mode in ("auto", "live"):
        with pytest.raises(InvalidInput) as refused:
            await resources.segments.update(tenant, static.id, Changes(refresh=Wanted(mode)))
        assert [one.code for one in refused.value.findings] == ["static_refresh"]


# Spread over time


@pytest.mark.parametrize("every", [MINUTE, HOUR, 3 * HOUR, DAY, 30 * DAY])
def test_tenants_are_due_at_different_times_and_nothing_later_than_its_interval(every: timedelta):
    start = datetime(2026, 6, 15, 12, tzinfo=UTC)
    waits = [next_after(start, every, tenant_id) - start for tenant_id in range(1, 2001)]

    assert all(timedelta(0) < wait <= every for wait in waits)
    quarters = Counter(int(4 * wait / every - 1e-9) for wait in waits)
    assert set(quarters) == {0, 1, 2, 3}
    assert min(quarters.values()) > 400
    assert next_after(start, every, 7) == next_after(start, every, 7)
    assert next_after(next_after(start, every, 7), every, 7) == next_after(start, every, 7) + every


def test_intervals_that_are_multiples_fall_together():
    start = datetime(2026, 6, 15, 12, tzinfo=UTC)
    threes = next_after(start, 3 * HOUR, 7)
    hours = [next_after(start, HOUR, 7) + step * HOUR for step in range(4)]
    assert threes in hours


# Together, once, in turns


async def test_what_is_due_of_a_tenant_is_queued_together_and_once(resources: Resources, tenant: Tenant, now: datetime):
    segments = [await save(resources, tenant) for _ in range(3)]

    assert await resources.refreshing.refresh_due(now=now)
    assert not await resources.refreshing.refresh_due(now=now + DAY)  # the first batch is not done yet

    assert await queued(resources) == [(one.id, "schedule", now) for one in segments]
    assert await resources.computations.run_next()  # all three
    assert await queued(resources) == []
    assert [(await again(resources, tenant, one)).status for one in segments] == ["computed"] * 3


async def test_what_somebody_asked_for_is_not_queued_again(resources: Resources, tenant: Tenant, now: datetime):
    asked, other = await save(resources, tenant), await save(resources, tenant)
    await resources.computations.request(tenant, asked.id, as_of=now)

    assert await resources.refreshing.refresh_due(now=now)
    assert [(one, cause) for one, cause, _ in await queued(resources)] == [
        (asked.id, "request"),
        (other.id, "schedule"),
    ]
    await resources.postgres.execute(
        "UPDATE segments SET next_refresh_at = now() - interval '1 h' WHERE id = $1", asked.id
    )
    await compute(resources)

    later = datetime.now(UTC)
    assert await resources.refreshing.refresh_due(now=later)  # it is seen to be done
    assert await queued(resources) == []
    assert (await again(resources, tenant, asked)).next_refresh_at == next_after(later, 3 * HOUR, tenant.id)


async def test_a_computation_of_the_past_does_not_count_as_a_refresh(
    resources: Resources, tenant: Tenant, now: datetime
):
    segment = await save(resources, tenant)
    await resources.computations.request(tenant, segment.id, as_of=now - 30 * DAY)
    await compute(resources)
    assert await resources.refreshing.refresh_due(now=now)
    assert await queued(resources) == [(segment.id, "schedule", now)]


async def test_a_tenant_with_thousands_does_not_keep_another_waiting(
    resources: Resources, tenant: Tenant, rival: Tenant, now: datetime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("segment_copilot.audiences.refresh.BATCH", 2)
    many = [await save(resources, tenant) for _ in range(5)]
    one = await save(resources, rival)

    order = list[set[int]]()
    done = "SELECT segment_id FROM computations WHERE status = 'done'"
    while True:
        while await resources.refreshing.refresh_due(now=now):  # whatever may be queued beside what is queued
            pass
        if not await resources.computations.run_next():
            break
        found = {row["segment_id"] for row in await resources.postgres.fetch(done)}
        order.append(found.difference(*order))

    ids = [each.id for each in many]
    assert order == [set(ids[:2]), {one.id}, set(ids[2:4]), set(ids[4:])]


async def test_tenants_take_turns_in_being_computed(resources: Resources, tenant: Tenant, rival: Tenant, now: datetime):
    """Somebody asks for many, each at an instant of its own, so that they are not one batch."""
    for place in range(4):
        segment = await save(resources, tenant, refresh=Wanted("manual"))
        await resources.computations.request(tenant, segment.id, as_of=now - place * MINUTE)
    other = await save(resources, rival, refresh=Wanted("manual"))
    await resources.computations.request(rival, other.id, as_of=now)

    for _ in range(2):
        assert await resources.computations.run_next()

    assert (await again(resources, rival, other)).status == "computed"
    await compute(resources)


async def test_what_somebody_asked_for_comes_before_what_was_due(resources: Resources, tenant: Tenant, now: datetime):
    due, asked = await save(resources, tenant), await save(resources, tenant, refresh=Wanted("manual"))
    await resources.refreshing.refresh_due(now=now)
    await resources.computations.request(tenant, asked.id, as_of=now - MINUTE)
    assert await resources.computations.run_next()
    assert [(await again(resources, tenant, one)).status for one in (due, asked)] == ["queued", "computed"]
    await compute(resources)


# Traits


async def test_an_identify_makes_a_member_within_one_pass_of_the_steps(
    resources: Resources, tenant: Tenant, rival: Tenant, now: datetime
):
    spaniards, plus = await save(resources, tenant, SPANIARDS), await save(resources, tenant)
    others = await save(resources, rival, SPANIARDS)
    await resources.refreshing.refresh_due(now=now)
    await resources.refreshing.refresh_due(now=now)
    await compute(resources)
    assert not await resources.refreshing.retest_dynamic(now=now)

    await identify(resources, tenant, "ana", now, country="ES")
    assert await resources.refreshing.retest_dynamic(now=now + SECOND)
    assert await queued(resources) == [(spaniards.id, "traits", now + SECOND)]
    assert await resources.computations.run_next(only_traits=True)

    assert await members(resources, tenant, spaniards) == ["ana"]
    assert not await resources.refreshing.retest_dynamic(now=now + DAY)
    assert (await again(resources, tenant, plus)).last_computed_at == now
    assert (await again(resources, rival, others)).last_computed_at == now


async def test_re_tests_of_a_tenant_are_coalesced(resources: Resources, tenant: Tenant, now: datetime):
    await save(resources, tenant, SPANIARDS)
    await resources.refreshing.refresh_due(now=now)
    await compute(resources)
    retest = resources.refreshing.retest_dynamic
    await identify(resources, tenant, "ana", now, country="ES")
    assert await retest(now=now)
    await identify(resources, tenant, "ben", now, country="ES")
    assert not await retest(now=now + MINUTE)  # one is queued
    await compute(resources)
    assert not await retest(now=now + SECOND / 2)  # one was a moment ago
    assert await retest(now=now + SECOND)
    assert not await retest(now=now + MINUTE)
    await compute(resources)
    assert not await retest(now=now + MINUTE)  # nothing changed since


async def test_traits_of_a_clock_that_is_ahead_are_looked_at_when_their_time_has_come(
    resources: Resources, tenant: Tenant, now: datetime
):
    spaniards = await save(resources, tenant, SPANIARDS)
    await resources.refreshing.refresh_due(now=now)
    await compute(resources)
    await identify(resources, tenant, "ana", now + 30 * SECOND, country="ES")
    retest = resources.refreshing.retest_dynamic
    assert await retest(now=now)
    await compute(resources)
    assert await members(resources, tenant, spaniards) == []
    assert not await retest(now=now + 29 * SECOND)
    assert await retest(now=now + 30 * SECOND)
    await compute(resources)
    assert await members(resources, tenant, spaniards) == ["ana"]
    assert not await retest(now=now + DAY)


async def test_traits_that_become_anothers_by_a_link_are_re_tested(resources: Resources, tenant: Tenant, now: datetime):
    spaniards = await save(resources, tenant, SPANIARDS)
    await identify(resources, tenant, "old", now - HOUR, country="ES")
    await resources.refreshing.retest_dynamic(now=now)
    await compute(resources)
    assert await members(resources, tenant, spaniards) == ["old"]
    await resources.identity.merge(tenant, "old", "new")
    while await resources.identity_links.forward_next():
        pass
    assert await resources.refreshing.retest_dynamic(now=now + SECOND)
    await compute(resources)
    assert await members(resources, tenant, spaniards) == ["new"]


async def test_events_without_traits_re_test_nothing(resources: Resources, tenant: Tenant, now: datetime):
    await save(resources, tenant, SPANIARDS)
    await resources.ingestion.accept(
        tenant, [{"user_id": "ana", "event_type": "order_placed", "payload": {}}], received_at=now
    )
    while await resources.forwarding.forward_next():
        pass
    assert not await resources.refreshing.retest_dynamic(now=now)


# Live


async def test_live_segments_are_due_within_a_minute(
    resources: Resources, tenant: Tenant, rival: Tenant, now: datetime
):
    live, other = await save(resources, tenant, refresh=Wanted("live")), await save(resources, rival)
    order = [{"user_id": "ana", "event_type": "order_placed", "payload": {}}]
    await resources.ingestion.accept(tenant, order, received_at=now)
    while await resources.forwarding.forward_next():
        pass

    assert await resources.refreshing.refresh_live(now=now)
    assert await members(resources, tenant, live) == ["ana"]
    live = await again(resources, tenant, live)
    assert (live.last_refreshed_at, live.last_computed_at) == (now, now)
    due = live.next_refresh_at
    assert due is not None
    assert now < due <= now + LIVE_EVERY
    assert not await resources.refreshing.refresh_live(now=due - SECOND)
    assert await resources.refreshing.refresh_live(now=due)
    live = await again(resources, tenant, live)
    assert (live.next_refresh_at, live.last_refreshed_at) == (due + LIVE_EVERY, due)
    await resources.refreshing.pause(tenant, live.id, now=due)
    assert not await resources.refreshing.refresh_live(now=due + HOUR)
    assert (await again(resources, rival, other)).status == "draft"


# Paused


async def test_a_paused_segment_keeps_its_members_and_says_since_when(
    resources: Resources, tenant: Tenant, now: datetime
):
    spaniards = await save(resources, tenant, SPANIARDS)
    await identify(resources, tenant, "ana", now, country="ES")
    await resources.refreshing.refresh_due(now=now)
    await resources.refreshing.retest_dynamic(now=now)
    await compute(resources)

    paused = await resources.refreshing.pause(tenant, spaniards.id, now=now)
    assert (paused.refresh.mode, paused.refresh.paused_since, paused.next_refresh_at) == ("auto", now, None)
    assert paused.revision != spaniards.revision
    assert await resources.refreshing.pause(tenant, spaniards.id, now=now + DAY) == paused
    await identify(resources, tenant, "ben", now, country="ES")
    await resources.refreshing.retest_dynamic(now=now + DAY)
    assert not await resources.refreshing.refresh_due(now=now + DAY)
    assert await queued(resources) == []
    assert await members(resources, tenant, spaniards) == ["ana"]

    resumed = await resources.refreshing.resume(tenant, spaniards.id, now=now + DAY)
    assert (resumed.refresh.paused_since, resumed.next_refresh_at) == (None, now + DAY)
    assert await resources.refreshing.resume(tenant, spaniards.id, now=now + 2 * DAY) == resumed
    assert await resources.refreshing.refresh_due(now=now + DAY)
    await compute(resources)
    assert await members(resources, tenant, spaniards) == ["ana", "ben"]


async def test_a_paused_segment_stays_paused_when_it_is_edited_and_is_computed_when_asked(
    resources: Resources, tenant: Tenant, now: datetime
):
    segment = await save(resources, tenant)
    await resources.refreshing.pause(tenant, segment.id, now=now)
    edited = (await resources.segments.update(tenant, segment.id, Changes(definition=SPANIARDS))).segment
    assert (edited.refresh.paused_since, edited.next_refresh_at) == (now, None)
    await resources.computations.request(tenant, segment.id, as_of=now)
    await compute(resources)
    assert (await again(resources, tenant, segment)).status == "computed"


async def test_pausing_answers_for_a_strangers_segment_as_for_none(
    resources: Resources, tenant: Tenant, rival: Tenant, now: datetime
):
    segment = await save(resources, tenant)
    manual = await save(resources, tenant, refresh=Wanted("manual"))
    for change in (resources.refreshing.pause, resources.refreshing.resume):
        with pytest.raises(NotFound) as absent:
            await change(rival, segment.id, now=now)
        assert absent.value.code == "segment_not_found"
    assert (await again(resources, tenant, segment)).refresh.paused_since is None
    with pytest.raises(Conflict) as refused:
        await resources.refreshing.pause(tenant, manual.id, now=now)
    assert refused.value.code == "nothing_to_pause"


# Failures


async def test_a_failed_refresh_keeps_the_members_says_why_and_waits_longer_each_time(
    resources: Resources, tenant: Tenant, now: datetime
):
    spaniards = await save(resources, tenant, SPANIARDS, Wanted("interval", "5m"))
    await identify(resources, tenant, "ana", now, country="ES")
    await resources.refreshing.refresh_due(now=now)
    await compute(resources)
    await resources.clickhouse.execute(
        "ALTER TABLE segment_states DROP CONSTRAINT IF EXISTS refused", purpose="migrate"
    )
    await refuse(resources, spaniards)
    instant, waits = now + HOUR, list[timedelta]()
    for _ in range(5):
        assert await resources.refreshing.refresh_due(now=instant)
        for _ in range(3):  # attempts
            await compute(resources)
            await resources.postgres.execute("UPDATE computations SET lease_until = now() WHERE lease_until > now()")
        failed = await again(resources, tenant, spaniards)
        assert failed.status == "failed"
        assert failed.last_error is not None
        assert failed.next_refresh_at is not None
        assert await members(resources, tenant, spaniards) == ["ana"]
        assert failed.last_refreshed_at == now
        regular = next_after(instant, 5 * MINUTE, tenant.id)
        waits.append(failed.next_refresh_at - instant)
        assert failed.next_refresh_at <= regular
        assert not await resources.refreshing.refresh_due(now=failed.next_refresh_at - SECOND)
        instant = failed.next_refresh_at
    assert waits[0] == min(MINUTE, next_after(now + HOUR, 5 * MINUTE, tenant.id) - now - HOUR)
    assert max(waits) > MINUTE

    await refuse(resources, spaniards, refused=False)
    assert await resources.refreshing.refresh_due(now=instant)
    await compute(resources)
    mended = await again(resources, tenant, spaniards)
    assert (mended.status, mended.last_error, mended.last_refreshed_at) == ("computed", None, instant)
    assert mended.next_refresh_at == next_after(instant, 5 * MINUTE, tenant.id)
    assert await resources.postgres.fetchval("SELECT refresh_failures FROM segments WHERE id = $1", spaniards.id) == 0


async def test_what_was_read_may_be_written_back(resources: Resources, tenant: Tenant):
    segment = await save(resources, tenant)
    assert segment.definition is not None
    changes = Changes(
        definition=encode(segment.definition), refresh=Wanted(segment.refresh.mode, segment.refresh.every)
    )
    written = (await resources.segments.update(tenant, segment.id, changes)).segment
    assert (written.version, written.next_refresh_at) == (1, segment.next_refresh_at)
