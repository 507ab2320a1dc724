"""The receiver of the kills sees what it is there for: a wrong signature, and changes that are lost, doubled or out of order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from segment_copilot.activations.webhooks.signatures import signed
from tests.chaos.receiving import ACTIVATION, SECRET, WEBHOOK, MoodyReceiver
from tests.support.receiver import Received

RECOMPUTED = {"event": "segment.recomputed", "member_count": 2}


@pytest.fixture
def receiver() -> MoodyReceiver:
    """One that never fails."""
    receiver = MoodyReceiver(1)
    receiver.is_moody = False
    return receiver


def post(receiver: MoodyReceiver, id_: str, body: dict[str, Any], *, to: str = WEBHOOK, secret: str = SECRET) -> int:
    text = json.dumps({"segment_id": 1} | body).encode()
    headers = signed(text, [secret], message_id=id_, now=datetime.now(UTC))
    return receiver.reply_to(
        Received("POST", to, {name.lower(): value for name, value in headers.items()}, text)
    ).status


def change(event: str, *users: str) -> dict[str, Any]:
    return {"event": f"segment.{event}", "user_ids": list(users), "member_count": 0}


def batch(entered: list[str], left: list[str], *, full: bool = False) -> dict[str, Any]:
    return {"entered": [{"user_id": one} for one in entered], "left": [{"user_id": one} for one in left], "full": full}


def test_changes_in_order_give_the_members(receiver: MoodyReceiver) -> None:
    post(receiver, "1", {"event": "segment.recomputed", "member_count": 2})
    post(receiver, "2", change("entered", "ada", "bob"))
    post(receiver, "2", change("entered", "ada", "bob"))
    post(receiver, "3", {"event": "segment.recomputed", "member_count": 1})
    post(receiver, "4", change("left", "ada"))
    post(receiver, "5", batch(["ada", "bob"], [], full=True), to=ACTIVATION)
    post(receiver, "6", batch([], ["ada"]), to=ACTIVATION)
    assert not receiver.broken
    assert receiver.published[1].members == receiver.synced[1].members == {"bob"}
    assert receiver.counts["repeated"] == 1


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([change("left", "ada")], "1 left who were not in, such as ada"),
        ([change("entered", "ada"), change("entered", "ada")], "1 entered who were in already, such as ada"),
        (
            [RECOMPUTED, change("entered", "ada"), RECOMPUTED],
            "1 members where the webhook said 2",
        ),
        ([{"event": "computation.failed", "error": {"code": "why"}}], "computation.failed: {'code': 'why'}"),
    ],
)
def test_what_is_out_of_order_or_lost_is_seen(receiver: MoodyReceiver, told: list[dict[str, Any]], said: str) -> None:
    for number, body in enumerate(told):
        post(receiver, str(number), body)
    assert len(receiver.broken) == 1
    assert receiver.broken[0].endswith(said)


def test_a_repetition_that_tells_others_is_seen(receiver: MoodyReceiver) -> None:
    post(receiver, "1", change("entered", "ada"))
    post(receiver, "1", change("entered", "bob"))
    assert receiver.broken == ["1 told other users when it was repeated"]


def test_a_wrong_signature_is_seen(receiver: MoodyReceiver) -> None:
    assert post(receiver, "1", change("entered", "ada"), secret="whsec_b3RoZXI=") == 401
    assert len(receiver.broken) == 1
    assert not receiver.taken


def test_no_id_is_failed_twice() -> None:
    receiver = MoodyReceiver(1)
    for number in range(100):
        for _ in range(2):
            post(receiver, str(number), change("entered", str(number)))
    assert receiver.counts["failed"] > 0
    assert len(receiver.taken) == 100
