"""Judges settings by themselves: what is missing, what does not fit together, what belongs to a machine of a developer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from rapidfuzz.distance import Levenshtein

from segment_copilot.activations.addresses import read_networks
from segment_copilot.activations.secrets import Secrets
from segment_copilot.doctor.findings import Check, ok, unknown, warning, wrong
from segment_copilot.errors import InvalidInput
from segment_copilot.settings import FILE, Settings, read_settings

_STORES: Final = ("DATABASE_URL", "CLICKHOUSE_URL", "CLICKHOUSE_CLUSTER")
_SHORT_SECRET: Final = 32  # characters
_LIKE: Final = 2  # letters by which a misspelt name may differ
_HTTP_PORTS: Final = {8123, 8443}  # ClickHouse's, where DSNs want the native one


def read(environ: Mapping[str, str]) -> tuple[Settings, list[Check]]:
    """Return the settings that hold, and what is wrong with reading them: without those that are, the stores can still be seen."""
    try:
        return read_settings(environ), []
    except InvalidInput as error:
        kept = {name: environ[name] for store in _STORES for name in (store, store + FILE) if name in environ}
        kept = kept if _can_be_read(kept) else {}
        sentence = error.detail.removeprefix("Settings are wrong. ")
        return read_settings(kept), [
            wrong(
                "settings.values", sentence, "Correct them: no process starts with these. The others were not judged."
            )
        ]


def _can_be_read(environ: Mapping[str, str]) -> bool:
    """Return whether these settings hold, files and all."""
    try:
        read_settings(environ)
    except InvalidInput:
        return False
    return True


def judge(settings: Settings, environ: Mapping[str, str], *, in_container: bool) -> list[Check]:
    """Return everything about *settings* that an operator should know; a single `ok` where there is nothing."""
    found = [
        *_misspelt(environ),
        *_stores(settings),
        *_people(settings),
        *_secrets(settings),
        *_copilot(settings),
        *_limits(settings),
        *_network(settings, in_container=in_container),
        *_files(settings),
        *_logs(settings),
    ]
    return found or [ok("settings", "They fit together.")]


def is_here(url: str) -> bool:
    """Return whether *url* leads to this machine: a loopback address, or a socket of the file system."""
    host = (urlsplit(url).hostname or "").lower()
    if host in {"", "localhost"}:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _misspelt(environ: Mapping[str, str]) -> Iterator[Check]:
    names = [field.encode_name for field in msgspec.structs.fields(Settings)]
    names += [f"{name}{FILE}" for name in names]
    for name in sorted(environ):
        if name in names or "_" not in name or name.endswith(("_PORT", "_HOST")):  # what a cluster says of its services
            continue
        like = [known for known in names if Levenshtein.distance(name, known, score_cutoff=_LIKE) <= _LIKE]
        if like:
            yield warning("settings.names", f"{name} is no setting.", f"If {like[0]} is meant, name it so.")


def _stores(settings: Settings) -> Iterator[Check]:
    for name, url in (("DATABASE_URL", settings.database_url), ("CLICKHOUSE_URL", settings.clickhouse_url)):
        if not url:
            yield wrong(
                "settings.stores", f"{name} is not set.", "Set it: `segment-copilot serve --help` shows its form."
            )
            continue
        if not is_here(url) and not _is_encrypted(url):
            yield warning(
                "settings.encryption",
                f"{name} leads to another machine, and what is sent there is not encrypted for certain.",
                "Add ?sslmode=verify-full."
                if name == "DATABASE_URL"
                else "Write clickhouses:// and the port of TLS (9440).",
            )
    port = _port(settings.clickhouse_url)
    if port in _HTTP_PORTS:
        yield wrong(
            "settings.stores",
            f"CLICKHOUSE_URL names port {port}, which by custom is the one of HTTP.",
            "Name the port of the native protocol: 9000, or 9440 with clickhouses://.",
        )
    if (
        settings.clickhouse_url
        and not urlsplit(settings.clickhouse_url).password
        and not is_here(settings.clickhouse_url)
    ):
        yield wrong(
            "settings.stores",
            "CLICKHOUSE_URL has no password.",
            "Make a user of its own with one, and write it into the URL.",
        )


def _is_encrypted(url: str) -> bool:
    parts = urlsplit(url)
    mode = parse_qs(parts.query).get("sslmode", [""])[-1]
    return parts.scheme == "clickhouses" or mode in {"require", "verify-ca", "verify-full"}


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _people(settings: Settings) -> Iterator[Check]:
    if settings.oidc_issuer and not settings.oidc_audience:
        yield wrong(
            "settings.oidc",
            "OIDC_ISSUER is set without OIDC_AUDIENCE: any token of the issuer would do, so no process starts.",
            "Set OIDC_AUDIENCE to the name this service has with the issuer.",
        )
    if settings.oidc_audience and not settings.oidc_issuer:
        yield warning(
            "settings.oidc", "OIDC_AUDIENCE is set without OIDC_ISSUER, and does nothing.", "Set OIDC_ISSUER too."
        )
    if settings.oidc_issuer.startswith("http://") and not is_here(settings.oidc_issuer):
        yield wrong(
            "settings.oidc",
            "OIDC_ISSUER is an http:// address: whoever sits between may hand out keys of their own.",
            "Name the issuer's https:// address.",
        )


def _secrets(settings: Settings) -> Iterator[Check]:
    try:
        Secrets(settings.secrets_keys)
    except InvalidInput as error:
        sentence, _, remedy = error.detail.partition(". ")
        yield wrong("settings.secrets_keys", f"{sentence}.", remedy)
    if not settings.secrets_keys:
        yield warning(
            "settings.secrets_keys",
            "SECRETS_KEYS is empty: webhooks, and activations with a secret, are refused.",
            "Set it to what `openssl rand -base64 32` prints, if there are to be any.",
        )
    if len(set(settings.secrets_keys)) < len(settings.secrets_keys):
        yield warning("settings.secrets_keys", "SECRETS_KEYS holds a key twice.", "Take one of them out.")
    secret = settings.copilot_checkpoint_secret
    if secret and len(secret) < _SHORT_SECRET:
        yield warning(
            "settings.checkpoint_secret",
            f"COPILOT_CHECKPOINT_SECRET has {len(secret)} characters, and may be guessed.",
            "Set it to what `openssl rand -base64 32` prints, or to nothing: a secret is then kept in PostgreSQL.",
        )


def _copilot(settings: Settings) -> Iterator[Check]:
    if settings.copilot_model == "claude" and not settings.anthropic_api_key:
        yield wrong(
            "settings.copilot",
            "COPILOT_MODEL is claude and ANTHROPIC_API_KEY is empty: the API does not start.",
            "Set the key, or COPILOT_MODEL=auto.",
        )
    if settings.copilot_model in {"offline", "offline-next"} and settings.anthropic_api_key:
        yield warning(
            "settings.copilot",
            f"ANTHROPIC_API_KEY is set, and COPILOT_MODEL={settings.copilot_model} does not use it.",
            "Set COPILOT_MODEL=claude, or take the key out.",
        )
    if settings.anthropic_base_url.startswith("http://") and not is_here(settings.anthropic_base_url):
        yield warning(
            "settings.copilot",
            "ANTHROPIC_BASE_URL is an http:// address: key and conversations can be read on the way.",
            "Name an https:// address.",
        )
    waits = max(settings.claude_first_seconds, settings.claude_idle_seconds)
    if waits >= settings.copilot_deadline_seconds:
        yield warning(
            "settings.copilot",
            f"CLAUDE_FIRST_SECONDS or CLAUDE_IDLE_SECONDS ({waits:g}) is not below COPILOT_DEADLINE_SECONDS "
            f"({settings.copilot_deadline_seconds}): a silent model takes a run's whole time.",
            "Lower them, or raise COPILOT_DEADLINE_SECONDS.",
        )
    if settings.copilot_max_tenant_streams > settings.copilot_max_streams:
        yield warning(
            "settings.copilot",
            "COPILOT_MAX_TENANT_STREAMS is above COPILOT_MAX_STREAMS: one tenant can take every stream.",
            "Lower COPILOT_MAX_TENANT_STREAMS.",
        )


def _limits(settings: Settings) -> Iterator[Check]:
    if settings.tenant_requests_per_minute < settings.requests_per_minute:
        yield warning(
            "settings.limits",
            "TENANT_REQUESTS_PER_MINUTE is below REQUESTS_PER_MINUTE, which is then never reached.",
            "Raise the tenant's, or lower the key's.",
        )
    if settings.computation_days < settings.history_days:
        yield warning(
            "settings.days",
            "COMPUTATION_DAYS is below HISTORY_DAYS: computations are kept for a day longer than HISTORY_DAYS all the same.",
            "Raise COMPUTATION_DAYS, or lower HISTORY_DAYS.",
        )
    if settings.recent_event_hours > settings.event_id_days * 24:
        yield warning(
            "settings.days",
            "RECENT_EVENT_HOURS is longer than EVENT_ID_DAYS: an event may be counted twice while it still counts as recent.",
            "Raise EVENT_ID_DAYS, or lower RECENT_EVENT_HOURS.",
        )


def _network(settings: Settings, *, in_container: bool) -> Iterator[Check]:
    if in_container and settings.host in {"127.0.0.1", "::1", "localhost"}:
        yield warning(
            "settings.host",
            f"HOST is {settings.host} in a container: nobody outside of it reaches the service.",
            "Set HOST=0.0.0.0, as the image does.",
        )
    if not in_container and settings.port and settings.port == settings.worker_port:
        yield warning(
            "settings.ports",
            f"PORT and WORKER_PORT are both {settings.port}: API and worker cannot run on one machine.",
            "Choose another WORKER_PORT.",
        )
    if "*" in settings.cors_origins:
        yield warning(
            "settings.cors",
            "CORS_ORIGINS is *: a page of anybody may call the service from a browser.",
            "List the origins of your own pages.",
        )
    try:
        allowed = read_networks(settings.outgoing_allow).networks
    except InvalidInput as error:
        yield wrong("settings.outgoing", error.detail, "Correct OUTGOING_ALLOW: no process starts with it.")
        return
    if any(network.is_loopback or network.prefixlen == 0 for network in allowed):
        yield warning(
            "settings.outgoing",
            f"OUTGOING_ALLOW is {', '.join(settings.outgoing_allow)}: tenants reach what only this machine should reach.",
            "Name the few networks that webhooks and activations must reach.",
        )


def _files(settings: Settings) -> Iterator[Check]:
    if not settings.files_directory:
        return
    path = Path(settings.files_directory)
    if not path.is_dir():
        yield wrong(
            "settings.files", f"FILES_DIRECTORY {path} is no directory here.", "Make it, on every machine of a worker."
        )
    elif not os.access(path, os.W_OK | os.X_OK):
        yield wrong(
            "settings.files", f"This user may not write to FILES_DIRECTORY {path}.", "Give it to the worker's user."
        )


def _logs(settings: Settings) -> Iterator[Check]:
    if settings.log_level == "debug":
        yield warning("settings.logs", "LOG_LEVEL is debug.", "Set LOG_LEVEL=info, but for the time of a search.")
    if settings.log_format == "console":
        yield unknown(
            "settings.logs", "LOG_FORMAT is console, which is written for people.", "Set json where a machine reads it."
        )
