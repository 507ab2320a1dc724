"""A receiver that is in moods: it checks every signature, now and then fails, and replays what it took.

What it replays has to be, at any time, a state that the segment was in: so nothing may be missing, twice under another
id, or out of order.
"""

from __future__ import annotations

import hmac
import json
import random
from collections import Counter
from hashlib import sha256
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.receiver import Received, Receiver, Reply

WEBHOOK: Final = "/webhook"
ACTIVATION: Final = "/activation"
SECRET: Final = "whsec_c2VjcmV0LW9mLWEtcmVjZWl2ZXItaW4tbW9vZHM="  # of this run alone

CRASHED: Final = "computation_crashed"
"""Why a computation fails that workers died of three times: of kills that may be so; the next refresh makes it good."""

_FAILS: Final = 0.15
"""So many ids are failed the first time that they come; the second time each is taken, as the pauses grow to hours."""

_STALL: Final = "stall"
_LOST: Final = "lost"  # taken, and the answer never arrives
_MOODS: Final[dict[str, Reply]] = {
    "500": Reply(500),
    "429": Reply(429, {"retry-after": "1"}),
    _STALL: Reply(does="stall"),
    "reset": Reply(does="reset"),
    _LOST: Reply(does="reset"),
}


class Replay:
    """Members of one segment as one source told them: who entered, minus who left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members = set[str]()
        self.said: int | None = None
        """How many there are once all parts of the publication came, as the webhook said."""

    def apply(self, entered: list[str], left: list[str], *, is_full: bool = False) -> list[str]:
        """Apply a change; return what cannot be so. One that is full may tell members who are known."""
        wrong = list[str]()
        if gone := set(left) - self.members:
            wrong.append(f"{self.name}: {len(gone)} left who were not in, such as {min(gone)}")
        self.members -= set(left)
        if (twice := set(entered) & self.members) and not is_full:
            wrong.append(f"{self.name}: {len(twice)} entered who were in already, such as {min(twice)}")
        self.members |= set(entered)
        return wrong

    def counted(self, count: int | None) -> list[str]:
        """Compare with the count of the publication before, all of which has come by now; remember this one's."""
        said, self.said = self.said, count
        if said is None or said == len(self.members):
            return []
        return [f"{self.name}: {len(self.members)} members where the webhook said {said}"]


class MoodyReceiver(Receiver):
    """Takes webhooks and batches of activations, and keeps what is wrong with them as sentences."""

    def __init__(self, seed: int) -> None:
        super().__init__("http")
        self._dice = random.Random(f"moods of {seed}")  # noqa: S311  # a seed, not a secret
        self._failed = set[str]()
        self.is_moody = True
        self.taken = dict[str, bytes]()
        """Id → what was told under it first."""
        self.counts = Counter[str]()
        self.published = dict[int, Replay]()
        self.synced = dict[int, Replay]()
        self.broken = list[str]()

    def reply_to(self, received: Received) -> Reply:
        """Take a request, unless the mood is otherwise."""
        self.counts["requests"] += 1
        try:
            Webhook(SECRET).verify(received.body, dict(received.headers))
        except WebhookVerificationError as error:
            self.broken.append(f"a signature of Standard Webhooks is wrong: {error}")
            return Reply(401)
        digest = hmac.new(SECRET.encode(), received.body, sha256).hexdigest()
        if received.headers.get("x-segops-signature") != f"sha256={digest}":
            self.broken.append("a signature of SegOps is wrong")
            return Reply(401)
        id_ = received.headers["webhook-id"]
        mood = self._mood(id_)
        if mood is not None and mood != _LOST:
            return _MOODS[mood]
        self._take(id_, received)
        return _MOODS[mood] if mood else Reply(body=b"{}")

    def _mood(self, id_: str) -> str | None:
        if not self.is_moody or id_ in self._failed or id_ in self.taken or self._dice.random() > _FAILS:
            return None
        self._failed.add(id_)
        mood = self._dice.choices(tuple(_MOODS), (4, 3, 1, 3, 3))[0]
        self.counts["failed"] += 1
        return mood

    def _take(self, id_: str, received: Received) -> None:
        told: dict[str, Any] = json.loads(received.body)
        if id_ in self.taken:
            self.counts["repeated"] += 1
            if _users(json.loads(self.taken[id_])) != _users(told):
                self.broken.append(f"{id_} told other users when it was repeated")
            return
        self.taken[id_] = received.body
        if received.target == WEBHOOK:
            self._take_event(told)
        else:
            self._take_batch(id_, told)

    def _take_event(self, told: dict[str, Any]) -> None:
        event, segment_id = told["event"], told["segment_id"]
        replay = self.published.setdefault(segment_id, Replay(f"webhook, segment {segment_id}"))
        self.counts[event] += 1
        match event:
            case "segment.recomputed":
                self.broken += replay.counted(told["member_count"])
            case "segment.entered":
                self.broken += replay.apply(told["user_ids"], [])
            case "segment.left":
                self.broken += replay.apply([], told["user_ids"])
            case _:
                if told["error"]["code"] != CRASHED:
                    self.broken.append(f"{event}: {told['error']}")

    def _take_batch(self, id_: str, told: dict[str, Any]) -> None:
        segment_id = told["segment_id"]
        replay = self.synced.setdefault(segment_id, Replay(f"activation, segment {segment_id}"))
        self.counts["batches"] += 1
        entered, left = ([user["user_id"] for user in told[change]] for change in ("entered", "left"))
        wrong = replay.apply(entered, left, is_full=told["full"])
        same = (key for key, body in self.taken.items() if key != id_ and _users(json.loads(body)) == _users(told))
        before = next(same, "no other")
        self.broken += [f"{one} ({id_}; {before} told the same)" for one in wrong]


def _users(told: dict[str, Any]) -> tuple[Any, ...]:
    return told.get("user_ids"), told.get("entered"), told.get("left"), told.get("member_count")
