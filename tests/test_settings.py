"""Settings as people write them."""

from __future__ import annotations

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
