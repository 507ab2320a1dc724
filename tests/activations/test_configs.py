"""Configs of connectors: what is refused and where, what is sealed, what is shown."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from segment_copilot.activations.connectors import Config, Secret
from segment_copilot.activations.connectors.configs import (
    json_schema,
    mask,
    read_config,
    seal_fields,
    secret_fields,
    unseal,
)
from segment_copilot.activations.secrets import Secrets, new_key
from segment_copilot.errors import Conflict, InvalidInput

SECRETS = Secrets([new_key()])


class Shop(Config, frozen=True, kw_only=True):
    """Says which list."""

    list_id: Annotated[str, Meta(min_length=2)]
    api_key: Secret
    webhook_secret: Secret | None = None
    size: int = 10


def test_a_config_is_sealed_masked_and_opened():
    config = read_config({"list_id": "ab", "api_key": "sk_1"}, Shop)

    stored = seal_fields(msgspec.to_builtins(config), ["api_key"], SECRETS, context=b"t1")

    assert secret_fields(Shop) == {"api_key", "webhook_secret"}
    assert "sk_1" not in f"{stored} {config!r}"
    assert mask(stored, Shop) == {"list_id": "ab", "api_key": "***", "webhook_secret": None, "size": 10}
    assert unseal(stored, Shop, SECRETS, context=b"t1") == config
    moved = stored | {"webhook_secret": stored["api_key"], "api_key": stored["api_key"]}
    with pytest.raises(Conflict):
        unseal(moved, Shop, SECRETS, context=b"t1")
    with pytest.raises(Conflict):
        unseal(stored, Shop, SECRETS, context=b"t2")


def test_every_mistake_is_told_and_no_secret():
    with pytest.raises(InvalidInput) as refused:
        read_config({"list_di": "x", "list_id": "a", "api_key": 77_123, "size": "big"}, Shop)

    told = [(one.pointer, one.code, one.suggestions) for one in refused.value.findings]
    assert told == [
        ("/config/list_di", "unknown_field", ("list_id",)),
        ("/config/list_id", "out_of_range", ()),
        ("/config/api_key", "wrong_type", ()),
        ("/config/size", "wrong_type", ()),
    ]
    assert "77123" not in refused.value.detail
    with pytest.raises(InvalidInput, match=r"config must be an object"):
        read_config([], Shop)


def test_the_schema_says_what_is_secret():
    schema = json_schema(Shop)

    assert schema["required"] == ["list_id", "api_key"]
    assert schema["properties"]["api_key"]["writeOnly"] is True
    assert schema["additionalProperties"] is False
    assert msgspec.json.encode(schema)
