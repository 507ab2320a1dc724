"""A receiver of the connector `webhook`: it takes what is signed with its secret, and keeps who is in the audience."""

from __future__ import annotations

from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.service_server import Answer, Request, ServiceServer

PATH = "/audience"
SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
MOST = 1_000
"""Users in one batch."""


class WebhookServer(ServiceServer):
    """The members by id, with their traits."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = SECRET
        self.permissions = frozenset({"activation.test", "activation.batch"})
        self.members: dict[str, Any] = {}
        self.refused_ids: set[str] = set()

    def handle(self, request: Request) -> Answer:
        try:
            Webhook(self.secret).verify(request.body, dict(request.headers))
        except WebhookVerificationError:
            return Answer(401, {"message": "The signature is not ours."})
        if (request.method, request.path) != ("POST", PATH):
            return Answer(404)
        if request.headers.get("idempotency-key") != request.headers["webhook-id"]:
            return Answer(400, {"message": "A batch has one name."})
        if request.document["type"] not in self.permissions:
            return Answer(403)
        return Answer() if request.document["type"] == "activation.test" else self._take(request.document)

    def _take(self, batch: dict[str, Any]) -> Answer:
        if len(batch["entered"]) + len(batch["left"]) > MOST:
            return Answer(413, {"message": "Too many at once."})
        rejected = [
            {"user_id": user["user_id"], "reason": "no consent"}
            for user in batch["entered"]
            if user["user_id"] in self.refused_ids
        ]
        for user in batch["left"]:
            self.members.pop(user["user_id"], None)
        for user in batch["entered"]:
            if user["user_id"] not in self.refused_ids:
                self.members[user["user_id"]] = user["traits"]
        return Answer(200, {"rejected": rejected})
