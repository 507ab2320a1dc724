"""The connector `klaviyo` keeps a list in Klaviyo: who enters becomes a profile and a member, who leaves comes off the list.

Profiles are matched by `external_id`, which is our user id, and by email. A few are written one by one, as Klaviyo asks;
more of them as one import, which it works off by itself and which is waited for, so that batches stay in order. Nothing
is ever deleted but a membership, and everything may be sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NoReturn, TypeVar, cast
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from msgspec import Meta, Struct

from segment_copilot.activations.addresses import MAX_URL
from segment_copilot.activations.connectors.answers import hide, retry_after
from segment_copilot.activations.connectors.configs import Config, Secret
from segment_copilot.activations.connectors.contract import Batch, Outcome, Recipient, Rejected, TryLater
from segment_copilot.activations.connectors.services import Service, fail, read
from segment_copilot.activations.outgoing import Answer, Outgoing

URL: Final = "https://a.klaviyo.com"
REVISION: Final = "2025-01-15"
MOST: Final = 1_000
"""Users in one change of a list. (An import would take 10,000.)"""
FEW: Final = 10
"""So many profiles are written one by one; Klaviyo asks not to import a small number."""
MOST_LOOKED_UP: Final = 100

_TIMEOUT: Final = timedelta(seconds=30)
_PAUSES: Final = tuple(timedelta(seconds=each) for each in (0.5, 1, 2, 4, 8, *([10] * 10)))
_AGAIN: Final = timedelta(minutes=2)
_LONGEST_TEXT: Final = 255
_ERRORS_A_PAGE: Final = 50
_TRAITS: Final = ("email", "first_name", "last_name")
_PROFILES: Final = "/data/attributes/profiles/data/"
_WRONG_PROFILE: Final = {400, 409, 413, 422}
T = TypeVar("T")


class KlaviyoConfig(Config, frozen=True, kw_only=True):
    """Says which list is kept, and with which private API key."""

    list_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    api_key: Secret


class _Source(Struct, frozen=True):
    pointer: str | None = None


class _Error(Struct, frozen=True):
    """An error of JSON:API; an error of an import has these fields too."""

    code: str = ""
    title: str = ""
    detail: str = ""
    source: _Source | None = None
    original_payload: dict[str, Any] | None = None

    @property
    def pointer(self) -> str:
        return (self.source and self.source.pointer) or ""


class _Errors(Struct, frozen=True):
    errors: list[_Error]


class _Attributes(Struct, frozen=True):
    external_id: str | None = None
    status: str = ""
    failed_count: int | None = 0


class _Resource(Struct, frozen=True):
    id: str
    attributes: _Attributes = _Attributes()


class _One(Struct, frozen=True):
    data: _Resource


class _Many(Struct, frozen=True):
    data: list[_Resource]


class _ImportError(Struct, frozen=True):
    attributes: _Error


class _Links(Struct, frozen=True):
    next: str | None = None


class _ImportErrors(Struct, frozen=True):
    data: list[_ImportError]
    links: _Links = _Links()


class Klaviyo:
    """Keeps the members of a segment on a list."""

    name = "klaviyo"
    summary = "Keeps a list in Klaviyo: who enters is put on it as a profile, who leaves is taken off it."
    config = KlaviyoConfig
    batch_size = MOST

    def __init__(self, url: str = URL, *, pauses: Sequence[timedelta] = _PAUSES) -> None:
        """Speak to Klaviyo at *url*; ask after an import once behind each of *pauses*."""
        self._url = url.rstrip("/")
        self._pauses = pauses

    def traits(self, config: KlaviyoConfig) -> tuple[str, ...]:  # noqa: ARG002
        """Return those by which Klaviyo knows and greets people."""
        return _TRAITS

    def is_full(self, config: KlaviyoConfig) -> bool:  # noqa: ARG002
        """Return False: what changed is enough."""
        return False

    async def check(self, config: KlaviyoConfig, outgoing: Outgoing) -> None:
        """Read the list."""
        await _Account(self._url, config, outgoing).call("GET", f"/api/lists/{config.list_id}/")

    async def send(self, batch: Batch, config: KlaviyoConfig, outgoing: Outgoing) -> Outcome:
        """Put those who entered on the list and take off those who left."""
        account = _Account(self._url, config, outgoing)
        if len(batch.entered) <= FEW:
            rejected = await _write_each(account, batch.entered)
        else:
            rejected = await _import(account, batch.entered, self._pauses)
        return Outcome((*rejected, *await _take_off(account, batch.left)))


class _Account:
    """Calls Klaviyo with the key and for the list of one config."""

    def __init__(self, url: str, config: KlaviyoConfig, outgoing: Outgoing) -> None:
        self.url = url
        self.list_id = config.list_id
        self.members = f"/api/lists/{config.list_id}/relationships/profiles/"
        self._key = config.api_key.strip()
        self._outgoing = outgoing

    async def ask(self, method: str, path: str, document: object = None) -> Answer:
        """Return an answer, whatever it says."""
        headers = {
            "Authorization": f"Klaviyo-API-Key {self._key}",
            "Revision": REVISION,
            "Accept": "application/vnd.api+json",
        }
        body = None
        if document is not None:
            headers["Content-Type"] = "application/vnd.api+json"
            body = msgspec.json.encode({"data": document})
        return await self._outgoing.request(method, self.url + path, headers=headers, body=body, timeout=_TIMEOUT)

    async def call(self, method: str, path: str, document: object = None) -> Answer:
        """Return an answer that says it was done."""
        answer = await self.ask(method, path, document)
        if not answer.is_good:
            self.fail(answer)
        return answer

    def fail(self, answer: Answer) -> NoReturn:
        """Raise what an answer means that was not good."""
        told = read(answer, _Errors)
        first = told.errors[0] if told and told.errors else _Error()
        after = retry_after(answer, now=datetime.now(UTC))
        fail(answer, _service(self.list_id), told=first.detail or first.title, secret=self._key, after=after)

    def reason(self, error: _Error) -> str:
        """Return what an error says about one profile."""
        if error.code == "duplicate_profile":
            return "Klaviyo has this email in a profile with another external_id. Merge or correct the two there."
        field = error.pointer.rpartition("/")[2]
        text = hide(error.detail or error.title, [self._key]) or "Klaviyo does not say why."
        return f"{text} ({field})" if field.isidentifier() and field not in text else text


async def _write_each(account: _Account, users: Sequence[Recipient]) -> tuple[Rejected, ...]:
    """Create or update each profile, then put all of them on the list."""
    ids: list[str] = []
    rejected: list[Rejected] = []
    for user in users:
        answer = await account.ask("POST", "/api/profile-import/", _profile(user))
        if answer.status in _WRONG_PROFILE:
            told = read(answer, _Errors)
            if not told or not told.errors:
                account.fail(answer)
            rejected.append(Rejected(user.user_id, account.reason(told.errors[0])))
        elif not answer.is_good:
            account.fail(answer)
        else:
            ids.append(_read(answer, _One).data.id)
    if ids:
        await account.call("POST", account.members, [{"type": "profile", "id": each} for each in ids])
    return tuple(rejected)


async def _import(account: _Account, users: Sequence[Recipient], pauses: Sequence[timedelta]) -> tuple[Rejected, ...]:
    """Create or update all profiles and put them on the list by one job, and wait until it is through."""
    rejected: list[Rejected] = []
    left = list(users)
    while left:
        answer = await account.ask("POST", "/api/profile-bulk-import-jobs/", _job(account.list_id, left))
        if answer.is_good:
            job = _read(answer, _One).data
            return (*rejected, *await _finish(account, job.id, left, pauses))
        wrong = _wrong_profiles(account, answer, left)
        if not wrong:
            account.fail(answer)
        rejected += wrong  # a job with wrong profiles is not begun: it is sent again without them
        names = {each.user_id for each in wrong}
        left = [user for user in left if user.user_id not in names]
    return tuple(rejected)


async def _finish(
    account: _Account, job: str, users: Sequence[Recipient], pauses: Sequence[timedelta]
) -> tuple[Rejected, ...]:
    path = f"/api/profile-bulk-import-jobs/{quote(job, safe='')}/"
    for pause in pauses:
        await asyncio.sleep(pause.total_seconds())
        found = _read(await account.call("GET", path), _One).data.attributes
        if found.status == "complete":
            return await _import_errors(account, path, users) if found.failed_count else ()
        if found.status == "cancelled":
            raise TryLater("Klaviyo cancelled the import of these profiles.")
    raise TryLater("Klaviyo takes long to import these profiles.", _AGAIN)


async def _import_errors(account: _Account, path: str, users: Sequence[Recipient]) -> tuple[Rejected, ...]:
    """Return who was not imported; each error names the profile by what was sent, or by its place."""
    names = {user.user_id for user in users}
    reasons: dict[str, str] = {}
    cursor: str | None = ""
    while cursor is not None:
        query = f"?page%5Bsize%5D={_ERRORS_A_PAGE}" + (f"&page%5Bcursor%5D={quote(cursor, safe='')}" if cursor else "")
        page = _read(await account.call("GET", f"{path}import-errors/{query}"), _ImportErrors)
        for error in (each.attributes for each in page.data):
            user_id = _external_id(error.original_payload) or _named(error.pointer, users)
            if user_id in names:
                reasons.setdefault(user_id, account.reason(error))
        cursor = _cursor(page.links.next) if page.data else None
    return tuple(Rejected(user_id, reason) for user_id, reason in reasons.items())


def _wrong_profiles(account: _Account, answer: Answer, users: Sequence[Recipient]) -> list[Rejected]:
    """Return the profiles that a refused job was refused for."""
    told = read(answer, _Errors) if answer.status in _WRONG_PROFILE else None
    reasons: dict[str, str] = {}
    for error in told.errors if told else ():
        if user_id := _named(error.pointer, users):
            reasons.setdefault(user_id, account.reason(error))
    return [Rejected(user_id, reason) for user_id, reason in reasons.items()]


async def _take_off(account: _Account, users: Sequence[Recipient]) -> tuple[Rejected, ...]:
    """Take users off the list. Whom Klaviyo does not know is on no list."""
    ids: list[str] = []
    rejected: list[Rejected] = []
    for query, part in _queries([user.user_id for user in users], MAX_URL - len(account.url)):
        if not query:
            rejected += [Rejected(user_id, "The user id is too long to be asked for in Klaviyo.") for user_id in part]
            continue
        ids += [each.id for each in _read(await account.call("GET", query), _Many).data]
    if ids:
        await account.call("DELETE", account.members, [{"type": "profile", "id": each} for each in ids])
    return tuple(rejected)


def _queries(user_ids: Sequence[str], room: int) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield requests that find profiles, each beside the users it asks for; an empty one beside ids that fit into none."""
    head = (
        f"/api/profiles/?fields%5Bprofile%5D=external_id&page%5Bsize%5D={MOST_LOOKED_UP}&filter=any%28external_id%2C%5B"
    )
    tail = "%5D%29"
    room -= len(head) + len(tail)
    part: list[tuple[str, str]] = []
    size = 0
    for user_id in user_ids:
        text = quote(msgspec.json.encode(user_id).decode(), safe="")
        if len(text) > room:
            yield "", [user_id]
            continue
        size += len(text) + len("%2C")
        if part and (size > room or len(part) == MOST_LOOKED_UP):
            yield f"{head}{'%2C'.join(text for _, text in part)}{tail}", [each for each, _ in part]
            part, size = [], len(text) + len("%2C")
        part.append((user_id, text))
    if part:
        yield f"{head}{'%2C'.join(text for _, text in part)}{tail}", [each for each, _ in part]


def _job(list_id: str, users: Sequence[Recipient]) -> dict[str, Any]:
    return {
        "type": "profile-bulk-import-job",
        "attributes": {"profiles": {"data": [_profile(user) for user in users]}},
        "relationships": {"lists": {"data": [{"type": "list", "id": list_id}]}},
    }


def _profile(user: Recipient) -> dict[str, Any]:
    attributes = {"external_id": user.user_id}
    for name in _TRAITS:
        value = user.traits.get(name)
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT:
            attributes[name] = value
    return {"type": "profile", "attributes": attributes}


def _named(pointer: str, users: Sequence[Recipient]) -> str | None:
    """Return the user whose profile a pointer leads into."""
    if not pointer.startswith(_PROFILES):
        return None
    index = pointer.removeprefix(_PROFILES).partition("/")[0]
    return users[int(index)].user_id if index.isdecimal() and int(index) < len(users) else None


def _external_id(payload: Mapping[str, Any] | None) -> str | None:
    """Return the external_id of a profile as it was sent, with or without its envelope."""
    inner: Any = (payload or {}).get("attributes", payload)
    found = cast("dict[str, Any]", inner).get("external_id") if isinstance(inner, dict) else None
    return found if isinstance(found, str) else None


def _cursor(link: str | None) -> str | None:
    """Return the cursor of a link. The link itself is not followed: the key goes to one address alone."""
    found = parse_qs(urlsplit(link or "").query).get("page[cursor]", [])
    return found[0] if found else None


def _read(answer: Answer, kind: type[T]) -> T:
    found = read(answer, kind)
    if found is None:
        raise TryLater("Klaviyo answered something that is not its own; perhaps something stands between.")
    return found


def _service(list_id: str) -> Service:
    return Service(
        name="Klaviyo",
        wrong_key="Klaviyo does not know this API key. Create a private key in Klaviyo (Settings → API keys).",
        few_rights="Klaviyo knows the API key, but it may not do this. Give it the scopes lists:read, lists:write, "
        "profiles:read and profiles:write in Klaviyo.",
        missing=f"Klaviyo has no list {list_id}. Copy the List ID from the settings of the list in Klaviyo.",
    )
