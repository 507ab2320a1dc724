"""USE CASE: say where a segment's members are sent: make, read, change and delete activations, and try their destinations.

The secrets of a config are sealed before they are stored (`secrets.py`) and never leave this module but to a connector.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.connectors import Config, Connector, Refused, TryLater
from segment_copilot.activations.connectors.configs import (
    MASK,
    json_schema,
    mask,
    read_config,
    seal_fields,
    secret_fields,
    unseal,
    url_fields,
)
from segment_copilot.activations.outgoing import Outgoing, OutgoingFailed, OutgoingRefused
from segment_copilot.activations.secrets import Secrets
from segment_copilot.audiences.references import not_found, without_definition
from segment_copilot.errors import Conflict, Finding, InvalidInput, NotFound, check_fixed
from segment_copilot.events.discovery import Discovery
from segment_copilot.language.catalog import nearest
from segment_copilot.lists import Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Postgres, Record

log = structlog.get_logger()

Status = Literal["inactive", "active", "error", "paused"]
Order = Literal[
    "id", "-id", "created_at", "-created_at", "updated_at", "-updated_at", "last_synced_at", "-last_synced_at"
]

_SORTINGS: Final[Mapping[str, Sorting]] = {
    "id": BY_ID,
    **{name: Sorting(name, datetime, "timestamptz") for name in ("created_at", "updated_at", "last_synced_at")},
}
_SECRET: Final = re.compile(r"key|secret|token|password|credential|authorization", re.IGNORECASE)
_COLUMNS: Final = """id, tenant_id, segment_id,
    (SELECT name FROM segments WHERE segments.id = segment_id) AS segment_name,
    connector_type, config, sealed_with, status, max_shrink_percent, last_synced_at, last_error, created_at, updated_at"""
_CREATE: Final = f"""
INSERT INTO activations
    (tenant_id, segment_id, connector_type, config, sealed_with, status, last_synced_at, max_shrink_percent, destination)
SELECT $1, id, $3, $4, $5, $6, $7, $8, $9 FROM segments
WHERE tenant_id = $1 AND id = $2 AND (definition IS NOT NULL OR segment_type = 'static')
FOR SHARE -- one that is deleted meanwhile is not there
RETURNING {_COLUMNS}
"""
_UPDATE: Final = f"""
UPDATE activations SET config = $3, sealed_with = $4, status = $5, max_shrink_percent = $6, destination = $7,
    last_error = CASE WHEN $5 = 'error' THEN last_error END,
    synced_computation = CASE WHEN $8 THEN NULL ELSE synced_computation END, updated_at = now()
WHERE tenant_id = $1 AND id = $2 RETURNING {_COLUMNS}
"""
_RESEALED: Final = 100


class Activation(Struct, frozen=True):
    """An activation connects a segment to a destination; secrets in *config* are `***`."""

    id: int
    connector_type: str
    segment_id: int
    segment_name: str
    config: Mapping[str, Any]
    status: Status
    max_shrink_percent: int
    last_synced_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


class ActivationChanges(Struct, frozen=True):
    """Changes of an activation; what is unset stays. Of a config that is given, what it leaves out stays too."""

    status: Status | UnsetType = UNSET
    config: Mapping[str, Any] | UnsetType = UNSET
    max_shrink_percent: int | UnsetType = UNSET
    segment_id: int | UnsetType = UNSET
    connector_type: str | UnsetType = UNSET


class Only(Struct, frozen=True):
    """Names the activations that are wanted; None is any."""

    segment_id: int | None = None
    connector_type: str | None = None
    status: Status | None = None


class ConnectorSummary(Struct, frozen=True):
    """A kind of destination, and the JSON Schema of what a config of it holds."""

    name: str
    summary: str
    config: Mapping[str, Any]
    secrets: tuple[str, ...]


class CheckResult(Struct, frozen=True):
    """Says whether a destination would take what is sent; *detail* says why not.

    *unknown_traits* are to be sent and nobody has them, as when one is misspelt: their fields stay empty.
    """

    ok: bool
    detail: str | None = None
    may_pass: bool = False
    """The destination could not be asked now; another time it may answer."""
    unknown_traits: tuple[str, ...] = ()


class Activations:
    """Manages the activations of all tenants; every method takes the tenant."""

    def __init__(
        self,
        postgres: Postgres,
        secrets: Secrets,
        connectors: Mapping[str, Connector],
        outgoing: Outgoing,
        discovery: Discovery,
    ) -> None:
        self._postgres = postgres
        self._secrets = secrets
        self._connectors = connectors
        self._outgoing = outgoing
        self._discovery = discovery

    @property
    def connector_types(self) -> tuple[str, ...]:
        """The names of the connectors there are."""
        return tuple(self._connectors)

    def connectors(self) -> tuple[ConnectorSummary, ...]:
        """Return the kinds of destinations there are, by name."""
        return tuple(
            ConnectorSummary(one.name, one.summary, json_schema(one.config), tuple(sorted(secret_fields(one.config))))
            for _, one in sorted(self._connectors.items())
        )

    async def list(self, tenant: Tenant, *, limit: int = 1000) -> tuple[Activation, ...]:
        """Return the tenant's activations, oldest first."""
        sql = f"SELECT {_COLUMNS} FROM activations WHERE tenant_id = $1 ORDER BY id LIMIT $2"
        return tuple(self._activation(row) for row in await self._postgres.fetch(sql, tenant.id, limit))

    async def page(self, tenant: Tenant, window: Window, *, order: Order, only: Only) -> Listed[Activation]:
        """Return a page of the tenant's activations."""
        conditions = (
            ("tenant_id = {}", tenant.id),
            ("segment_id = {}", only.segment_id),
            ("connector_type = {}", only.connector_type),
            ("status = {}", only.status),
        )
        return await Rows(_COLUMNS, "activations", conditions, _SORTINGS).page(
            self._postgres, window, order, self._activation
        )

    async def get(self, tenant: Tenant, activation_id: int) -> Activation:
        """Return one activation; raises NotFound."""
        return self._activation(await self._row(tenant, activation_id))

    async def create(
        self,
        tenant: Tenant,
        segment_id: int,
        *,
        connector_type: str,
        config: Mapping[str, Any],
        status: Status = "inactive",
        max_shrink_percent: int = 50,
        last_synced_at: datetime | None = None,
        is_judged: bool = True,
    ) -> Activation:
        """Connect a segment of the tenant to a destination; nothing is sent by this.

        *is_judged* False stores a config as it is, for a connector that there may not be.

        Raises:
            NotFound: There is no such segment.
            InvalidInput: There is no such connector, or its config is wrong.
            Conflict: The segment is a draft that has no definition yet, or there is no key for the config's secrets.
        """
        stored, destination, sealed_with = dict(config), connector_type, None
        if is_judged:
            connector = self._connector(connector_type)
            stored, destination = self._judge(tenant, connector, config, kept={})
            sealed_with = self._secrets.newest
        row = await self._postgres.fetchrow(
            _CREATE,
            tenant.id,
            segment_id,
            connector_type,
            msgspec.json.encode(stored).decode(),
            sealed_with,
            status,
            last_synced_at,
            max_shrink_percent,
            destination,
        )
        if row is None:
            sql = "SELECT EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND id = $2)"
            is_draft = await self._postgres.fetchval(sql, tenant.id, segment_id)
            raise without_definition(segment_id) if is_draft else not_found(segment_id)
        return self._activation(row)

    async def update(self, tenant: Tenant, activation_id: int, changes: ActivationChanges) -> Activation:
        """Change an activation. One whose config changes beyond its secrets begins again with a full sync.

        Raises:
            NotFound: There is no such activation.
            InvalidInput: Something in it is wrong, or cannot be changed.
            Conflict: There is no key for the config's secrets.
        """
        async with self._postgres.transaction() as transaction:
            sql = f"SELECT {_COLUMNS}, destination FROM activations WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
            row = await transaction.fetchrow(sql, tenant.id, activation_id)
            if row is None:
                raise activation_not_found(activation_id)
            _check_fixed(row, changes)
            before = msgspec.json.decode(row["config"])
            stored, destination, sealed_with, begins_again = before, row["destination"], row["sealed_with"], False
            if changes.config is not UNSET:
                connector = self._connector(row["connector_type"])
                if sealed_with is None:
                    before = seal_fields(
                        before, _secrets_in(before, connector), self._secrets, context=_context(tenant)
                    )
                stored, destination = self._judge(tenant, connector, changes.config, kept=before)
                sealed_with = self._secrets.newest if sealed_with is None else sealed_with
                if any(self._is_older(stored[name]) for name in secret_fields(connector.config)):
                    sealed_with = "older"
                begins_again = mask(stored, connector.config) != mask(before, connector.config)
            row = await transaction.fetchrow(
                _UPDATE,
                tenant.id,
                activation_id,
                msgspec.json.encode(stored).decode(),
                sealed_with,
                row["status"] if changes.status is UNSET else changes.status,
                row["max_shrink_percent"] if changes.max_shrink_percent is UNSET else changes.max_shrink_percent,
                destination,
                begins_again,
            )
        assert row is not None  # noqa: S101  # it is locked
        return self._activation(row)

    async def delete(self, tenant: Tenant, activation_id: int) -> None:
        """Delete an activation and its deliveries. What was sent stays where it is.

        Raises:
            NotFound: There is no such activation.
        """
        sql = "DELETE FROM activations WHERE tenant_id = $1 AND id = $2"
        if not await self._postgres.execute(sql, tenant.id, activation_id):
            raise activation_not_found(activation_id)

    async def delete_all(self, tenant: Tenant) -> None:
        """Delete every activation of the tenant."""
        await self._postgres.execute("DELETE FROM activations WHERE tenant_id = $1", tenant.id)

    async def check(self, tenant: Tenant, activation_id: int) -> CheckResult:
        """Ask the destination whether it would take what this activation sends, changing nothing there.

        Raises:
            NotFound: There is no such activation.
            Conflict: There is no such connector any more, or a secret cannot be opened.
        """
        connector, config = self.open(tenant, await self._row(tenant, activation_id))
        unknown = await self._unknown(tenant, connector.traits(config))
        try:
            await connector.check(config, self._outgoing)
        except (TryLater, OutgoingFailed) as error:
            return CheckResult(ok=False, detail=str(error), may_pass=True, unknown_traits=unknown)
        except (Refused, OutgoingRefused) as error:
            return CheckResult(ok=False, detail=str(error), unknown_traits=unknown)
        return CheckResult(ok=True, unknown_traits=unknown)

    async def _unknown(self, tenant: Tenant, traits: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the traits that nobody has; what a remembered catalog lacks is looked for in a fresh one."""
        for fresh in (False, True):
            if traits:
                known = (await self._discovery.catalog(tenant, fresh=fresh)).traits
                traits = tuple(name for name in traits if name not in known)
        return traits

    def open(self, tenant: Tenant, row: Record) -> tuple[Connector, Config]:
        """Return the connector of a stored activation, and its config with the secrets opened.

        Raises:
            Conflict: There is no such connector any more, or a secret cannot be opened.
            InvalidInput: The config does not fit the connector any more.
        """
        if (connector := self._connectors.get(row["connector_type"])) is None:
            detail = f"This version has no connector {row['connector_type']!r}: {_among(self._connectors)}."
            raise Conflict(detail, code="unknown_connector")
        stored = msgspec.json.decode(row["config"])
        if row["sealed_with"] is None:
            return connector, read_config(stored, connector.config)
        return connector, unseal(stored, connector.config, self._secrets, context=_context(tenant))

    async def reseal(self) -> bool:
        """Seal secrets that are stored in the clear or under an older key; True if more may be.

        One that cannot be opened is left as it is.
        """
        if self._secrets.newest is None:
            return False
        sql = f"""
            SELECT {_COLUMNS}, (SELECT slug FROM tenants WHERE tenants.id = tenant_id) AS slug FROM activations
            WHERE sealed_with IS DISTINCT FROM $1 ORDER BY id LIMIT {_RESEALED}"""
        rows = await self._postgres.fetch(sql, self._secrets.newest)
        done = 0
        for row in rows:
            tenant = Tenant(row["tenant_id"], row["slug"])
            stored = msgspec.json.decode(row["config"])
            names = _secrets_in(stored, self._connectors.get(row["connector_type"]))
            try:
                if row["sealed_with"] is not None:
                    stored = _opened(stored, names, self._secrets, _context(tenant))
                sealed = seal_fields(stored, names, self._secrets, context=_context(tenant))
            except Conflict as error:
                log.warning("activation.not_resealed", activation_id=row["id"], code=error.code)
                continue
            sql = """
                UPDATE activations SET config = $3, sealed_with = $4
                WHERE tenant_id = $1 AND id = $2 AND config::text = $5"""
            text = msgspec.json.encode(sealed).decode()
            args = (text, self._secrets.newest, row["config"])
            done += await self._postgres.execute(sql, tenant.id, row["id"], *args)
        return done == _RESEALED

    async def _row(self, tenant: Tenant, activation_id: int) -> Record:
        sql = f"SELECT {_COLUMNS} FROM activations WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, activation_id)
        if row is None:
            raise activation_not_found(activation_id)
        return row

    def _connector(self, name: str) -> Connector:
        if (connector := self._connectors.get(name)) is None:
            detail = f"There is no connector {name[:64]!r}: {_among(self._connectors)}."
            finding = Finding("/connector_type", "unknown_connector", detail, nearest(name, self._connectors))
            raise InvalidInput(detail, code="unknown_connector", findings=[finding])
        return connector

    def _judge(
        self, tenant: Tenant, connector: Connector, config: Mapping[str, Any], *, kept: Mapping[str, Any]
    ) -> tuple[dict[str, Any], str]:
        """Return a config as it is stored, and its destination. What it leaves out or masks is as in *kept*, a stored one."""
        secret = secret_fields(connector.config)
        sent = {
            name: value for name, value in config.items() if not (name in secret and value == MASK and kept.get(name))
        }
        read = read_config(
            {**{name: MASK if name in secret else kept[name] for name in kept if kept[name] is not None}, **sent},
            connector.config,
        )
        stored: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(read))
        masked = [name for name in secret if sent.get(name) == MASK]
        if masked:
            detail = (
                f"config/{masked[0]} is {MASK}, which stands for a secret that is kept: here none is. Send the secret."
            )
            raise InvalidInput(detail, findings=[Finding(f"/config/{masked[0]}", "masked_secret", detail)])
        host = connector.name
        for name in sorted(url_fields(connector.config)):
            if isinstance(url := stored[name], str):
                try:
                    stored[name] = self._outgoing.check(url)
                except InvalidInput as error:
                    finding = Finding(f"/config/{name}", error.code, error.detail)
                    raise InvalidInput(error.detail, code=error.code, findings=[finding]) from error
                host = f"{connector.name} {urlsplit(url).hostname}"
        new = [name for name in secret if name in sent and stored[name] is not None]
        sealed = seal_fields(stored, new, self._secrets, context=_context(tenant))
        return sealed | {name: kept[name] for name in secret if name not in sent and kept.get(name)}, host

    def _is_older(self, sealed: object) -> bool:
        return isinstance(sealed, str) and not self._secrets.is_current(sealed)

    def _activation(self, row: Record) -> Activation:
        stored, connector = msgspec.json.decode(row["config"]), self._connectors.get(row["connector_type"])
        shown = mask_secrets(stored) if connector is None else mask(stored, connector.config)
        fields: dict[str, Any] = {name: row[name] for name in Activation.__struct_fields__} | {"config": shown}
        return Activation(**fields)


def _context(tenant: Tenant) -> bytes:
    return f"activations/{tenant.id}".encode()


def _among(connectors: Mapping[str, Connector]) -> str:
    return f"it is one of {', '.join(sorted(connectors))}"


def _check_fixed(row: Record, changes: ActivationChanges) -> None:
    """Refuse to change what an activation is: where it has sent to, and whom, is remembered for it."""
    given = {"segment": changes.segment_id, "connector_type": changes.connector_type}
    kept = {"segment": row["segment_id"], "connector_type": row["connector_type"]}
    check_fixed(given, kept, instead="make another activation, and delete this one")
    if changes.status == "error" and row["status"] != "error":
        detail = "status is set to error by a sync that failed; set it to active, inactive or paused."
        raise InvalidInput(detail, findings=[Finding("/status", "fixed", detail)])


def _secrets_in(stored: Mapping[str, Any], connector: Connector | None) -> list[str]:
    """Return the names of a stored config's secrets; without its connector, those that sound like one."""
    known = secret_fields(connector.config) if connector else [name for name in stored if _SECRET.search(name)]
    return [name for name in known if isinstance(stored.get(name), str)]


def _opened(stored: Mapping[str, Any], names: list[str], secrets: Secrets, context: bytes) -> dict[str, Any]:
    return {**stored, **{name: secrets.open(stored[name], context=context + b"/" + name.encode()) for name in names}}


def activation_not_found(activation_id: int) -> NotFound:
    """Return the error of an activation that is not there."""
    return NotFound(f"There is no activation {activation_id}.", code="activation_not_found")


def mask_secrets(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *config* with `***` in place of all that sounds like a secret, however deep."""
    return {key: MASK if _SECRET.search(key) else _mask(value) for key, value in config.items()}


def _mask(value: object) -> object:
    match value:
        case dict():
            return mask_secrets(cast("dict[str, Any]", value))
        case list():
            return [_mask(item) for item in cast("list[object]", value)]
        case _:
            return value
