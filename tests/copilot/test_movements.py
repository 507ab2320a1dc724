"""The tool that tells who joined a segment and who left it."""

from __future__ import annotations

from datetime import timedelta

from tests.support.copilot_runs import Ask, Script, Shop, asking, calls, says
from tests.support.resources import NOW

TOOL = "query_segment_changes"


async def test_who_joined_is_told_with_numbers_users_and_when_it_was_computed_first(ask: Ask, shop: Shop):
    at = NOW - timedelta(hours=1)  # the run's instant is NOW
    await shop.resources.postgres.execute(
        "UPDATE computations SET finished_at = $2 WHERE segment_id = $1", shop.buyers, at
    )
    wanted = [
        {"segment": "Buyers", "from": "2026-06-15"},
        {"segment": shop.buyers, "from": "2026-06-01", "to": "2026-06-15", "limit": 1},
        {"segment": "Lapsed", "from": "2026-06-14T22:00:00Z"},
        {"segment": "Buyers", "from": "2026-06-15", "to": "2026-06-15"},
        {"segment": "Buyers", "from": "2027-01-01"},
        {"segment": "Buyers", "from": "Monday"},
    ]

    told = await ask(Script(*[calls((TOOL, one)) for one in wanted], says("Done.")), asking())

    result, before, never = (told.result(number) for number in range(3))
    assert (result["entered"], result["left"], result["computations"]) == (2, 0, 1)
    assert [one["user_id"] for one in result["entered_users"]] == ["ana", "ben"]
    assert result["left_users"] == []
    assert (result["from"], result["timezone"]) == ("2026-06-15", "Europe/Madrid")
    assert (result["member_count"], result["source"]) == (2, "clickhouse")
    assert result["first_computed_at"] == "2026-06-15T11:00:00Z"
    assert (before["computations"], before["entered"]) == (0, 0)
    assert (never["last_computed_at"], never["member_count"]) == (None, None)
    codes = [one["error"]["code"] for one in told.of("tool.result")[3:]]
    assert codes == ["empty_range", "empty_range", "invalid_instant"]
