"""Reads every setting from the environment, once, into one frozen struct."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from segment_copilot.errors import InvalidInput
from segment_copilot.mistakes import mistakes

Positive = Annotated[int, Meta(ge=1)]


class Settings(Struct, frozen=True, kw_only=True, rename=str.upper):
    """Field *x* is read from the environment variable *X*; lists are comma-separated."""

    database_url: Annotated[str, Meta(description="PostgreSQL: postgresql://user:password@host:port/database")] = ""
    migration_database_url: Annotated[
        str, Meta(description="PostgreSQL as the owner of the tables, for `migrate` alone; empty: DATABASE_URL")
    ] = ""
    postgres_role: Annotated[
        str,
        Meta(
            description="Role of DATABASE_URL that `migrate` grants what is needed and confines to one tenant's rows at a time; empty: none"
        ),
    ] = ""
    clickhouse_url: Annotated[
        str, Meta(description="ClickHouse, native TCP: clickhouse://user:password@host:port/database")
    ] = ""
    clickhouse_cluster: Annotated[
        str,
        Meta(description="Cluster of the server's remote_servers whose shards hold the users; empty for one server"),
    ] = ""
    clickhouse_replicated: Annotated[
        bool, Meta(description="Whether its tables are Replicated and made ON CLUSTER; needs Keeper")
    ] = False
    postgres_pool: Annotated[Positive, Meta(description="PostgreSQL connections per process")] = 10
    clickhouse_pool: Annotated[Positive, Meta(description="ClickHouse connections per process")] = 8

    clickhouse_read_url: Annotated[
        str,
        Meta(
            description="The same as a user that only reads, for what people ask (previews, look-ups, the copilot); empty: CLICKHOUSE_URL"
        ),
    ] = ""
    clickhouse_tenant_queries: Annotated[
        Positive,
        Meta(
            description="Queries of one tenant at once per process, of those that people wait for; more wait their turn"
        ),
    ] = 3

    host: Annotated[str, Meta(description="Address the API listens on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port the API listens on; 0 takes a free one")] = 8000
    worker_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port a worker answers /health and /metrics on; 0 takes a free one")
    ] = 8001
    cors_origins: Annotated[tuple[str, ...], Meta(description="Origins a browser may call from; none by default")] = ()
    requests_per_minute: Annotated[
        Positive,
        Meta(description="Requests a minute of one key, or of one user of its sessions; counted by each process"),
    ] = 30_000
    tenant_requests_per_minute: Annotated[
        Positive, Meta(description="Requests a minute of one tenant, unless it has a limit of its own; by each process")
    ] = 60_000
    oidc_issuer: Annotated[
        str, Meta(description="URL of an OpenID Connect issuer whose people may log in; empty for none")
    ] = ""
    oidc_audience: Annotated[str, Meta(description="Whom its tokens are for; needed with OIDC_ISSUER")] = ""
    oidc_tenant_claim: Annotated[str, Meta(min_length=1, description="Claim that holds a tenant's slug")] = "tenant"
    oidc_role_claim: Annotated[
        str, Meta(min_length=1, description="Claim that holds owner, admin, member or viewer, or a list of them")
    ] = "role"
    outgoing_allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Private networks that webhooks and activations may send to, with http:// too, such as 10.0.0.0/8; none by default"
        ),
    ] = ()
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severe line written")
    ] = "info"
    log_format: Annotated[Literal["json", "console"], Meta(description="json for machines, console for people")] = (
        "json"
    )

    secrets_keys: Annotated[
        tuple[str, ...],
        Meta(description="Keys that destinations' secrets are kept with, newest first: 32 bytes in base64 each"),
    ] = ()

    files_directory: Annotated[
        str,
        Meta(description="Directory that csv and parquet activations write below, each tenant in its own; empty: none"),
    ] = ""

    docs_directory: Annotated[
        str,
        Meta(
            description="Directory of a built site of the docs, served at /docs/; empty: the one that is installed, if any"
        ),
    ] = ""

    console: Annotated[bool, Meta(description="Whether the console is served at /console/; it is under dev")] = False

    event_id_days: Annotated[Positive, Meta(description="Days an event id is remembered for de-duplication")] = 90
    recent_event_hours: Annotated[
        Positive, Meta(description="Hours a forwarded event stays readable in PostgreSQL")
    ] = 72

    history_days: Annotated[
        Positive, Meta(description="Days that members stay readable as they were, after they were replaced")
    ] = 90

    computation_days: Annotated[
        Positive,
        Meta(
            description="Days that computations and the log of who entered and left are kept; no less than HISTORY_DAYS"
        ),
    ] = 400

    audit_days: Annotated[Positive, Meta(description="Days that the audit log, and where keys were used, are kept")] = (
        365
    )

    refresh_default: Annotated[
        Literal["auto", "manual"],
        Meta(description="auto: new segments keep themselves true; manual: they are computed when somebody asks"),
    ] = "auto"
    refresh_hours: Annotated[
        float, Meta(ge=1 / 60, le=720, description="Time between two refreshes of a segment whose mode is auto")
    ] = 3.0

    export_hours: Annotated[Positive, Meta(description="Hours that an exported file is kept, and its links work")] = 24
    export_max_megabytes: Annotated[
        Positive, Meta(description="MiB that the exported files of one tenant may take together")
    ] = 2048

    copilot_model: Annotated[
        Literal["auto", "claude", "offline"],
        Meta(description="auto: claude when ANTHROPIC_API_KEY is set, else offline"),
    ] = "auto"
    anthropic_api_key: Annotated[str, Meta(description="Key for Claude; empty for none")] = ""
    anthropic_base_url: Annotated[str, Meta(description="Any endpoint that speaks the Messages API")] = ""
    claude_model: Annotated[str, Meta(description="Model id sent to the Messages API")] = "claude-sonnet-5-5"
    claude_price: Annotated[
        str,
        Meta(
            pattern=r"^(\d+(\.\d+)?/\d+(\.\d+)?)?$",
            description="USD for a million tokens, input/output, for example 2/10; empty: as listed for the model",
        ),
    ] = ""
    claude_effort: Annotated[Literal["low", "medium", "high"], Meta(description="Effort sent to the Messages API")] = (
        "low"
    )
    copilot_checkpoint_secret: Annotated[
        str, Meta(description="What checkpoints are signed with; empty: a secret kept in PostgreSQL")
    ] = ""
    copilot_max_turns: Annotated[Positive, Meta(description="Model requests per run")] = 8
    copilot_max_tool_calls: Annotated[Positive, Meta(description="Tool calls per run")] = 24
    copilot_max_cost_usd: Annotated[
        float, Meta(gt=0, description="What a run may cost, where the model's price is known")
    ] = 0.5
    copilot_deadline_seconds: Annotated[Positive, Meta(description="Wall time of a run")] = 120
    copilot_max_streams: Annotated[Positive, Meta(description="Runs at once per process")] = 2000
    copilot_max_tenant_streams: Annotated[Positive, Meta(description="Runs at once per process and tenant")] = 1000
    copilot_heartbeat_seconds: Annotated[
        float, Meta(gt=0, description="Silence on a stream before a comment is sent")
    ] = 10.0
    claude_first_seconds: Annotated[float, Meta(gt=0, description="Wait for the model until it says something")] = 20.0
    claude_idle_seconds: Annotated[float, Meta(gt=0, description="Wait for the model between two pieces")] = 30.0
    copilot_trace_content: Annotated[
        bool, Meta(description="Whether traces hold what people asked the copilot and what it answered")
    ] = False
    copilot_breaker_failures: Annotated[
        Positive, Meta(description="Failures of the model in a row after which runs are refused for a while")
    ] = 10
    copilot_breaker_seconds: Annotated[
        float, Meta(gt=0, description="How long, before one run tries the model again")
    ] = 15.0

    @property
    def on_cluster(self) -> str:
        """The cluster whose tables are replicated and made ON CLUSTER; empty for none."""
        return self.clickhouse_cluster if self.clickhouse_replicated else ""


FILE: Final = "_FILE"
"""What the name of a variable ends with that names the file of a setting."""

_UNITS: Final = {"seconds": "s", "hours": "h", "days": "d"}
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|m|min|h|d)")


def written_default(field: msgspec.structs.FieldInfo) -> str:
    """Return a setting's default as a person writes it, and may set it: `30s`; `empty` for none."""
    if field.default in ("", ()):
        return "empty"
    if isinstance(field.default, bool | str):
        return str(field.default)
    return f"{_decimal(field.default)}{_UNITS.get(field.name.rsplit('_', 1)[-1], '')}"


def _plain_number(name: str, text: str) -> str:
    """Return a length of time such as `30s` or `2 min` as the number that the setting holds; any other text as it is."""
    unit = _UNITS.get(name.rsplit("_", 1)[-1], "")
    found = _LENGTH.fullmatch(text.strip())
    if found is None or unit not in _SECONDS:
        return text
    return _decimal(float(found[1]) * _SECONDS[found[2]] / _SECONDS[unit])


def _decimal(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from *environ*; one error names every variable that is wrong.

    Instead of *X*, *X_FILE* may name a file that holds its value: a secret then stands in no environment, which others can see.
    """
    raw: dict[str, object] = {}
    problems: list[str] = []
    for item in msgspec.structs.fields(Settings):
        try:
            text = _text(environ, item.encode_name)
        except ValueError as error:
            problems.append(str(error))
            continue
        if not text:
            continue
        value = (
            [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
            if isinstance(item.default, tuple)
            else _plain_number(item.name, text)
        )
        try:
            raw[item.encode_name] = msgspec.convert(value, item.type, strict=False)
        except msgspec.ValidationError:
            problems += [f"{item.encode_name} {mistake.sentence}." for mistake in mistakes(_number(value), item.type)]
    if problems:
        raise InvalidInput(f"Settings are wrong. {' '.join(problems)}", code="invalid_settings")
    return msgspec.convert(raw, Settings)


def _text(environ: Mapping[str, str], name: str) -> str:
    """Return what is set, by itself or in a file; a ValueError says what is wrong with the file."""
    text, file = environ.get(name, ""), environ.get(f"{name}{FILE}", "")
    if not file:
        return text
    if text:
        raise ValueError(f"{name} and {name}{FILE} are both set: keep one of them.")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "It is no text in UTF-8"
    raise ValueError(f"{name}{FILE} names {file}, which cannot be read: {reason}.")


def _number(text: object) -> object:
    """Return the number that *text* is, if it is one: out of bounds is another mistake than no number."""
    try:
        return msgspec.convert(text, int | float, strict=False)
    except msgspec.ValidationError:
        return text
