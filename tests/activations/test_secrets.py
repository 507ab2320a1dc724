"""Secrets at rest: what is stored opens with our keys and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from segment_copilot.activations.secrets import Secrets, new_key
from segment_copilot.commands.dev import secrets_key
from segment_copilot.errors import Conflict, InvalidInput

OLD, NEW = new_key(), new_key()
HERE = b"activations/1/api_key"


def test_what_is_sealed_opens_and_is_another_text_each_time():
    secrets = Secrets([NEW])

    texts = {secrets.seal("sk_live_123 ñ", context=HERE) for _ in range(3)}

    assert len(texts) == 3
    assert {secrets.open(text, context=HERE) for text in texts} == {"sk_live_123 ñ"}
    assert not any("sk_live" in text for text in texts)
    assert NEW not in repr(secrets)


def test_an_old_key_opens_and_the_newest_seals():
    sealed = Secrets([OLD]).seal("x", context=HERE)
    rotated = Secrets([NEW, OLD])

    again = rotated.seal(rotated.open(sealed, context=HERE), context=HERE)

    assert (rotated.is_current(sealed), rotated.is_current(again)) == (False, True)
    assert Secrets([NEW]).open(again, context=HERE) == "x"
    with pytest.raises(Conflict, match=r"sealed with the key [0-9a-f]{8}, which SECRETS_KEYS does not hold"):
        Secrets([NEW]).open(sealed, context=HERE)


@pytest.mark.parametrize(
    "change", [str.swapcase, lambda text: text[:-4], lambda text: text + "é", lambda _: "", lambda _: "s1.x"]
)
def test_a_text_that_was_changed_does_not_open(change):
    secrets = Secrets([NEW])

    with pytest.raises(Conflict) as refused:
        secrets.open(change(secrets.seal("x", context=HERE)), context=HERE)
    assert refused.value.code == "secret_unreadable"


def test_a_text_that_was_moved_does_not_open():
    secrets = Secrets([NEW])

    with pytest.raises(Conflict, match="changed or moved"):
        secrets.open(secrets.seal("x", context=HERE), context=b"activations/2/api_key")


def test_without_a_key_nothing_is_taken():
    with pytest.raises(Conflict, match="Set SECRETS_KEYS") as refused:
        Secrets([]).seal("x", context=HERE)
    assert refused.value.code == "no_secrets_key"


@pytest.mark.parametrize("key", ["", "short", "ä" * 44, "A" * 40])
def test_a_wrong_key_is_told_by_its_number(key):
    with pytest.raises(InvalidInput, match="key 2 is not 32 bytes") as refused:
        Secrets([NEW, key])
    assert key == "" or key not in refused.value.detail


def test_dev_keeps_one_key_beside_its_data_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "secrets-key"

    made = secrets_key(path)

    assert secrets_key(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert Secrets([made]).newest
