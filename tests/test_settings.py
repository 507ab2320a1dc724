"""Settings as people write them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from segment_copilot.errors import InvalidInput
from segment_copilot.settings import Settings, read_settings, written_default

FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120), ("120s", 120), ("2m", 120), ("2 min", 120), ("1h", 3600), (" 90 s ", 90)]
)
def test_a_length_of_time_has_the_unit_that_its_writer_likes(text: str, seconds: int):
    assert read_settings({"COPILOT_DEADLINE_SECONDS": text}).copilot_deadline_seconds == seconds


def test_lengths_of_hours_days_and_parts_of_a_second():
    settings = read_settings(
        {"EVENT_ID_DAYS": "48h", "RECENT_EVENT_HOURS": "3d", "COPILOT_HEARTBEAT_SECONDS": "1500ms"}
    )

    assert (settings.event_id_days, settings.recent_event_hours, settings.copilot_heartbeat_seconds) == (2, 72, 1.5)


@pytest.mark.parametrize(
    ("name", "text"), [("EVENT_ID_DAYS", "1h"), ("COPILOT_DEADLINE_SECONDS", "1500ms"), ("PORT", "8000s")]
)
def test_what_does_not_fit_the_setting_is_refused(name: str, text: str):
    with pytest.raises(InvalidInput, match=name):
        read_settings({name: text})


@pytest.mark.parametrize("name", FIELDS)
def test_a_default_can_be_set_as_it_is_written(name: str):
    field = FIELDS[name]
    written = written_default(field)

    assert "(" not in written
    assert getattr(read_settings({field.encode_name: "" if written == "empty" else written}), name) == field.default
    if name.endswith(("_seconds", "_hours", "_days")):
        assert written[-1] == name.rsplit("_", 1)[-1][0]


def test_a_secret_may_stand_in_a_file(tmp_path: Path):
    url, keys = tmp_path / "url", tmp_path / "keys"
    url.write_text("postgresql://a:b@c/d\n")
    keys.write_text("new,\nold\n")

    settings = read_settings({"DATABASE_URL_FILE": str(url), "SECRETS_KEYS_FILE": str(keys), "PORT_FILE": ""})

    assert (settings.database_url, settings.secrets_keys) == ("postgresql://a:b@c/d", ("new", "old"))


def test_a_file_of_a_setting_that_is_wrong_is_said(tmp_path: Path):
    (tmp_path / "port").write_text("none")
    (tmp_path / "bytes").write_bytes(b"\xff")
    said = {
        "PORT_FILE": (str(tmp_path / "port"), "PORT must be a whole number"),
        "HOST_FILE": (
            str(tmp_path / "nowhere"),
            f"HOST_FILE names {tmp_path}/nowhere, which cannot be read: No such file",
        ),
        "CLAUDE_MODEL_FILE": (str(tmp_path / "bytes"), "which cannot be read: It is no text in UTF-8."),
        "LOG_LEVEL_FILE": (str(tmp_path / "port"), "LOG_LEVEL and LOG_LEVEL_FILE are both set"),
    }
    with pytest.raises(InvalidInput) as caught:
        read_settings({name: path for name, (path, _) in said.items()} | {"LOG_LEVEL": "info"})

    for _, sentence in said.values():
        assert sentence in caught.value.detail
