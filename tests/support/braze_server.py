"""A server that answers as Braze's REST API does, and keeps users, their attributes and subscription groups."""

from __future__ import annotations

from typing import Any

from tests.support.service_server import Answer, Request, ServiceServer

PERMISSIONS = frozenset({"users.track", "subscription.status.set"})


class BrazeServer(ServiceServer):
    """Users by external id with their attributes; groups with the ids that are subscribed."""

    def __init__(self, *, key: str = "0b5f6a7c-1111-2222-3333-444455556666", group: str = "pto81yff") -> None:
        super().__init__()
        self.key = key
        self.permissions = PERMISSIONS
        self.users: dict[str, dict[str, Any]] = {}
        self.group = group
        self.groups: dict[str, set[str]] = {group: set()}
        self.refused_ids: set[str] = set()
        """External ids about which Braze has a minor error."""

    def marked(self, attribute: str) -> set[str]:
        return {user_id for user_id, attributes in self.users.items() if attributes.get(attribute) is True}

    def state(self) -> Any:
        return self.users, self.groups

    def handle(self, request: Request) -> Answer:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or key != self.key:
            return Answer(401, {"message": f"Invalid API key: {key}"})
        match request.method, request.path:
            case "POST", "/users/track":
                return self._permitted("users.track") or self._track(request.document)
            case "POST", "/subscription/status/set":
                return self._permitted("subscription.status.set") or self._subscribe(request.document)
            case _:
                return Answer(404, {"message": "Invalid URL"})

    def _permitted(self, permission: str) -> Answer | None:
        return None if permission in self.permissions else Answer(403, {"message": "Access denied"})

    def _track(self, document: dict[str, Any]) -> Answer:
        attributes = document.get("attributes", [])
        if not attributes:
            return Answer(400, {"message": "No attributes, events or purchases to process"})
        if len(attributes) > 75:
            return Answer(400, {"message": "attributes must have at most 75 elements"})
        errors: list[dict[str, Any]] = []
        for index, given in enumerate(attributes):
            fields = dict(given)
            user_id, existing_only = fields.pop("external_id", ""), fields.pop("_update_existing_only", False)
            if not user_id or user_id in self.refused_ids:
                errors.append(
                    {"type": "The value of 'external_id' is invalid", "input_array": "attributes", "index": index}
                )
            elif user_id in self.users or not existing_only:
                self.users.setdefault(user_id, {}).update(fields)
        told: dict[str, Any] = {"message": "success", "attributes_processed": len(attributes) - len(errors)}
        return Answer(201, told | ({"errors": errors} if errors else {}))

    def _subscribe(self, document: dict[str, Any]) -> Answer:
        user_ids, state = document["external_id"], document["subscription_state"]
        if state not in {"subscribed", "unsubscribed"} or not isinstance(user_ids, list):
            return Answer(400, {"message": "subscription_state is invalid"})
        if not 1 <= len(user_ids) <= 50:
            return Answer(400, {"message": "external_id must have between 1 and 50 elements"})
        if document["subscription_group_id"] not in self.groups:
            return Answer(400, {"message": "Subscription group ID is invalid"})
        group = self.groups[document["subscription_group_id"]]
        if state == "subscribed":
            group |= set(user_ids)
        else:
            group -= set(user_ids)
        return Answer(201, {"message": "success"})
