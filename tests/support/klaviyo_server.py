"""A server that answers as Klaviyo does (revision 2025-01-15), and keeps profiles, lists and import jobs.

It is at least as strict: a header, a limit or a shape that the public reference names is insisted on.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.service_server import Answer, Request, ServiceServer

SCOPES = frozenset({"lists:read", "lists:write", "profiles:read", "profiles:write"})
_KNOWN = {"external_id", "email", "phone_number", "first_name", "last_name", "properties"}


class Refusal(Exception):
    """An error of JSON:API."""

    def __init__(self, status: int, code: str, detail: str, pointer: str = "/data", **meta: str) -> None:
        super().__init__(detail)
        self.status = status
        self.document = problem(status, code, detail, pointer, **meta)


def problem(status: int, code: str, detail: str, pointer: str, **meta: str) -> dict[str, Any]:
    return {
        "id": "e4eebb08-b055-4a6f-bb13-c8cb69c9eb94",
        "status": status,
        "code": code,
        "title": code.replace("_", " ").capitalize(),
        "detail": detail,
        "source": {"pointer": pointer},
        "meta": meta,
    }


class KlaviyoServer(ServiceServer):
    """Profiles by id, lists of their ids, jobs; `members` is a list as external ids."""

    def __init__(self, *, key: str = "pk_live_0123456789abcdef", list_id: str = "Y6nRLr") -> None:
        super().__init__()
        self.key = key
        self.scopes = SCOPES
        self.list_id = list_id
        self.lists: dict[str, set[str]] = {list_id: set(), "Other1": set()}
        self.profiles: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.polls = 2
        """So often a job says that it is not through."""
        self.cancels = False
        self.judges_at_once = False
        """Whether a job with a wrong profile is refused, rather than run with errors."""

    @property
    def members(self) -> set[str]:
        return {self.profiles[each]["external_id"] for each in self.lists[self.list_id]}

    @property
    def known(self) -> set[str]:
        return {profile["external_id"] for profile in self.profiles.values()}

    def state(self) -> Any:
        return self.profiles, self.lists

    def handle(self, request: Request) -> Answer:
        try:
            self._admit(request)
            return self._route(request)
        except Refusal as refusal:
            headers = {"Retry-After": "7"} if refusal.status == 429 else {}
            return Answer(refusal.status, {"errors": [refusal.document]}, headers)

    def _admit(self, request: Request) -> None:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.\w+)?", request.headers.get("revision", "")):
            raise Refusal(400, "invalid", "Missing or invalid revision header.")
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Klaviyo-API-Key" or not key:
            raise Refusal(401, "not_authenticated", "Authentication credentials were not provided.")
        if key != self.key:
            raise Refusal(401, "authentication_failed", f"Incorrect authentication credentials: {key}")
        if request.document is not None and request.headers.get("content-type") not in {
            "application/json",
            "application/vnd.api+json",
        }:
            raise Refusal(415, "unsupported_media_type", "Unsupported media type in request.")

    def _needs(self, *scopes: str) -> None:
        if missing := set(scopes) - self.scopes:
            raise Refusal(403, "permission_denied", f"Your key does not have the scopes: {', '.join(sorted(missing))}.")

    def _route(self, request: Request) -> Answer:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["api", "lists", list_id]:
                self._needs("lists:read")
                self._list(list_id)
                return Answer(200, {"data": {"type": "list", "id": list_id, "attributes": {"name": "Buyers"}}})
            case "POST", ["api", "profile-import"]:
                self._needs("profiles:write")
                return self._upsert_one(request.document["data"])
            case ("POST" | "DELETE") as method, ["api", "lists", list_id, "relationships", "profiles"]:
                self._needs("lists:write", "profiles:write")
                return self._change(method, self._list(list_id), request.document["data"])
            case "GET", ["api", "profiles"]:
                self._needs("profiles:read")
                return self._find(request)
            case "POST", ["api", "profile-bulk-import-jobs"]:
                self._needs("lists:write", "profiles:write")
                return self._begin(request.document["data"])
            case "GET", ["api", "profile-bulk-import-jobs", job]:
                self._needs("lists:read", "profiles:read")
                return self._follow(job)
            case "GET", ["api", "profile-bulk-import-jobs", job, "import-errors"]:
                self._needs("profiles:read")
                return self._errors(job, request)
            case _:
                raise Refusal(404, "not_found", "The path is not known.")

    def _list(self, list_id: str) -> set[str]:
        if list_id not in self.lists:
            raise Refusal(404, "not_found", f"A list with id {list_id} does not exist.")
        return self.lists[list_id]

    def _upsert_one(self, data: dict[str, Any]) -> Answer:
        profile_id, is_new = self._upsert(data, "/data/attributes")
        document = {"data": {"type": "profile", "id": profile_id, "attributes": self.profiles[profile_id]}}
        return Answer(201 if is_new else 200, document)

    def _upsert(self, data: dict[str, Any], pointer: str) -> tuple[str, bool]:
        attributes = self._judge(data, pointer)
        found = {
            each: name
            for each, profile in self.profiles.items()
            for name in ("external_id", "email")
            if name in attributes and profile.get(name) == attributes[name]
        }
        if len(found) > 1:
            first = next(iter(found))
            detail = "A profile already exists with one of these identifiers."
            raise Refusal(409, "duplicate_profile", detail, pointer, duplicate_profile_id=first)
        profile_id = next(iter(found), f"01GDDKASAP8TKDDA2GRZ{len(self.profiles):06}")
        self.profiles[profile_id] = self.profiles.get(profile_id, {}) | attributes
        return profile_id, not found

    def _judge(self, data: dict[str, Any], pointer: str) -> dict[str, Any]:
        attributes = data["attributes"]
        if data["type"] != "profile" or set(attributes) - _KNOWN:
            raise Refusal(400, "invalid", "The payload provided in the request is invalid.", pointer)
        if not attributes.get("external_id") and not attributes.get("email"):
            raise Refusal(400, "invalid", "One of the identifiers is required.", pointer)
        if "email" in attributes and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", attributes["email"]):
            raise Refusal(400, "invalid", "Invalid email address", f"{pointer}/email")
        return attributes

    def _change(self, method: str, members: set[str], data: list[dict[str, str]]) -> Answer:
        if not 1 <= len(data) <= 1000:
            raise Refusal(400, "invalid", "Between 1 and 1000 profiles are accepted in a call.")
        ids = {each["id"] for each in data if each["type"] == "profile"}
        if len(ids) != len(data) or not ids <= set(self.profiles):
            raise Refusal(404, "not_found", "A profile does not exist.")
        if method == "POST":
            members |= ids
        else:
            members -= ids
        return Answer(204)

    def _find(self, request: Request) -> Answer:
        wanted = re.fullmatch(r"any\(external_id,(\[.*\])\)", request.query.get("filter", ""), re.DOTALL)
        ids = json.loads(wanted[1]) if wanted else []
        if not 1 <= len(ids) <= 100 or not 1 <= int(request.query.get("page[size]", 20)) <= 100:
            raise Refusal(400, "invalid", "Invalid filter provided.", "filter")
        found = [(each, profile) for each, profile in self.profiles.items() if profile.get("external_id") in ids]
        data = [
            {
                "type": "profile",
                "id": each,
                "attributes": {"external_id": profile["external_id"]},
                "links": {"self": f"https://a.klaviyo.com/api/profiles/{each}/"},
            }
            for each, profile in found[: int(request.query.get("page[size]", 20))]
        ]
        return Answer(200, {"data": data, "links": {"self": "", "next": None, "prev": None}})

    def _begin(self, data: dict[str, Any]) -> Answer:
        profiles = data["attributes"]["profiles"]["data"]
        lists = [each["id"] for each in data["relationships"]["lists"]["data"]]
        if not 1 <= len(profiles) <= 10_000 or data["type"] != "profile-bulk-import-job":
            raise Refusal(400, "invalid", "Between 1 and 10000 profiles are accepted.")
        for list_id in lists:
            self._list(list_id)
        if self.judges_at_once and (wrong := self._wrong(profiles)):
            return Answer(400, {"errors": [refusal.document for _, refusal in wrong]})
        job = f"job+{len(self.jobs)}/="
        self.jobs[job] = {"profiles": profiles, "lists": lists, "polls": self.polls, "errors": []}
        return Answer(202, self._job(job, "queued"))

    def _wrong(self, profiles: list[dict[str, Any]]) -> list[tuple[dict[str, Any], Refusal]]:
        wrong: list[tuple[dict[str, Any], Refusal]] = []
        for index, profile in enumerate(profiles):
            try:
                self._judge(profile, f"/data/attributes/profiles/data/{index}/attributes")
            except Refusal as refusal:
                wrong.append((profile, refusal))
        return wrong

    def _follow(self, name: str) -> Answer:
        job = self.jobs.get(name.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="))
        if job is None:
            raise Refusal(404, "not_found", "A job with this id does not exist.")
        job["polls"] -= 1
        if self.cancels:
            return Answer(200, self._job(name, "cancelled"))
        if job["polls"] >= 0:
            return Answer(200, self._job(name, "processing"))
        if job["polls"] == -1:
            for index, profile in enumerate(job["profiles"]):
                try:
                    profile_id, _ = self._upsert(profile, f"/data/attributes/profiles/data/{index}/attributes")
                except Refusal as refusal:
                    job["errors"].append((profile, refusal))
                else:
                    for list_id in job["lists"]:
                        self.lists[list_id].add(profile_id)
        return Answer(200, self._job(name, "complete", failed=len(job["errors"])))

    def _job(self, name: str, status: str, *, failed: int = 0) -> dict[str, Any]:
        attributes = {"status": status, "total_count": 1, "completed_count": 0, "failed_count": failed}
        return {"data": {"type": "profile-bulk-import-job", "id": name, "attributes": attributes}}

    def _errors(self, name: str, request: Request) -> Answer:
        job = self.jobs[name.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")]
        size, start = int(request.query.get("page[size]", 20)), int(request.query.get("page[cursor]", 0))
        if not 1 <= size <= 100:
            raise Refusal(400, "invalid", "Page size must be between 1 and 100.", "page[size]")
        page = [
            {"type": "import-error", "id": f"e{index}", "attributes": refusal.document | {"original_payload": profile}}
            for index, (profile, refusal) in enumerate(job["errors"])
        ][start : start + size]
        more = start + size < len(job["errors"])
        link = f"https://elsewhere.example.com/steal?page%5Bcursor%5D={start + size}" if more else None
        return Answer(200, {"data": page, "links": {"self": "", "next": link}})
