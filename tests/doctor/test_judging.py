"""What is judged without a store: settings by themselves, and numbers that stores said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from segment_copilot.activations.secrets import new_key
from segment_copilot.doctor.clickhouse import judge_parts
from segment_copilot.doctor.clickhouse import judge_version as judge_clickhouse
from segment_copilot.doctor.configuration import judge, read
from segment_copilot.doctor.findings import Check, Report, in_words
from segment_copilot.doctor.postgres import judge_connections, judge_rows
from segment_copilot.doctor.postgres import judge_version as judge_postgres
from segment_copilot.doctor.queues import judge_queue, judge_workers
from segment_copilot.doctor.reaching import Skew, judge_clock
from segment_copilot.doctor.space import judge_space
from segment_copilot.stores.backlog import BACKLOGS

GOOD = {
    "DATABASE_URL": "postgresql://app:secret@db.internal/app?sslmode=verify-full",
    "CLICKHOUSE_URL": "clickhouses://app:secret@ch.internal:9440/app",
    "SECRETS_KEYS": new_key(),
    "HOST": "0.0.0.0",  # noqa: S104
}


def found(environ: Mapping[str, str] = MappingProxyType({}), *, in_container: bool = False) -> dict[str, Check]:
    """What is wrong with the settings, by name."""
    environ = dict(environ)
    settings, checks = read(GOOD | environ)
    return {one.name: one for one in checks or judge(settings, GOOD | environ, in_container=in_container)}


def test_settings_that_fit_together_are_one_line():
    assert found() == {"settings": Check("settings", "ok", "They fit together.")}


@pytest.mark.parametrize(
    ("environ", "name", "verdict", "part"),
    [
        ({"PORT": "http"}, "settings.values", "wrong", "PORT must be a whole number"),
        ({"SECRET_KEYS": "x"}, "settings.names", "warning", "SECRET_KEYS is no setting"),
        ({"DATABASE_URL": ""}, "settings.stores", "wrong", "DATABASE_URL is not set"),
        ({"CLICKHOUSE_URL": "clickhouses://a:b@ch:8123/x"}, "settings.stores", "wrong", "port 8123"),
        ({"CLICKHOUSE_URL": "clickhouses://default@ch:9440/x"}, "settings.stores", "wrong", "no password"),
        ({"CLICKHOUSE_URL": "clickhouse://a:b@ch/x"}, "settings.encryption", "warning", "CLICKHOUSE_URL"),
        ({"DATABASE_URL": "postgresql://a:b@db/x?sslmode=prefer"}, "settings.encryption", "warning", "DATABASE_URL"),
        ({"OIDC_ISSUER": "https://id.example"}, "settings.oidc", "wrong", "OIDC_AUDIENCE"),
        ({"OIDC_AUDIENCE": "x"}, "settings.oidc", "warning", "OIDC_ISSUER"),
        ({"OIDC_ISSUER": "http://id.example", "OIDC_AUDIENCE": "x"}, "settings.oidc", "wrong", "http://"),
        ({"SECRETS_KEYS": "c2hvcnQ="}, "settings.secrets_keys", "wrong", "not 32 bytes"),
        ({"SECRETS_KEYS": ""}, "settings.secrets_keys", "warning", "refused"),
        (
            {"SECRETS_KEYS": f"{GOOD['SECRETS_KEYS']},{GOOD['SECRETS_KEYS']}"},
            "settings.secrets_keys",
            "warning",
            "twice",
        ),
        ({"COPILOT_CHECKPOINT_SECRET": "hush"}, "settings.checkpoint_secret", "warning", "4 characters"),
        ({"COPILOT_MODEL": "claude"}, "settings.copilot", "wrong", "does not start"),
        ({"COPILOT_MODEL": "offline", "ANTHROPIC_API_KEY": "k"}, "settings.copilot", "warning", "does not use"),
        ({"ANTHROPIC_BASE_URL": "http://proxy.internal"}, "settings.copilot", "warning", "on the way"),
        ({"COPILOT_DEADLINE_SECONDS": "20"}, "settings.copilot", "warning", "whole time"),
        ({"COPILOT_MAX_TENANT_STREAMS": "3000"}, "settings.copilot", "warning", "every stream"),
        ({"TENANT_REQUESTS_PER_MINUTE": "5"}, "settings.limits", "warning", "never reached"),
        ({"COMPUTATION_DAYS": "30"}, "settings.days", "warning", "HISTORY_DAYS"),
        ({"EVENT_ID_DAYS": "1"}, "settings.days", "warning", "counted twice"),
        ({"WORKER_PORT": "8000"}, "settings.ports", "warning", "both 8000"),
        ({"CORS_ORIGINS": "*"}, "settings.cors", "warning", "anybody"),
        ({"OUTGOING_ALLOW": "10.0.0.0/8,0.0.0.0/0"}, "settings.outgoing", "warning", "0.0.0.0/0"),
        ({"OUTGOING_ALLOW": "127.0.0.0/8"}, "settings.outgoing", "warning", "127.0.0.0/8"),
        ({"OUTGOING_ALLOW": "intranet"}, "settings.outgoing", "wrong", "intranet"),
        ({"FILES_DIRECTORY": "/nowhere"}, "settings.files", "wrong", "/nowhere"),
        ({"LOG_LEVEL": "debug"}, "settings.logs", "warning", "debug"),
        ({"LOG_FORMAT": "console"}, "settings.logs", "unknown", "console"),
    ],
)
def test_settings_that_do_not_fit_are_told(environ: dict[str, str], name: str, verdict: str, part: str):
    checks = found(environ)

    assert set(checks) == {name}
    assert (checks[name].verdict, part in checks[name].detail) == (verdict, True), checks[name]
    assert checks[name].remedy


def test_a_loopback_address_is_nobodys_in_a_container():
    assert found({"HOST": "127.0.0.1"}) == found()
    assert found({"HOST": "127.0.0.1"}, in_container=True)["settings.host"].verdict == "warning"
    assert "settings.ports" not in found({"WORKER_PORT": "8000"}, in_container=True)  # each has a container of its own


def test_what_a_cluster_says_of_its_services_is_no_misspelt_setting():
    assert "settings.names" not in found(
        {"CLICKHOUSE_PORT": "tcp://10.0.0.1:9000", "WORKERS_PORT": "tcp://10.0.0.1:80"}
    )


def test_a_directory_that_can_be_written_is_well(tmp_path: Path):
    assert found({"FILES_DIRECTORY": str(tmp_path)}) == found()


def test_the_report_is_as_bad_as_its_worst_check():
    def verdict(*verdicts: str) -> str:
        return Report.of([Check("x", one, "") for one in verdicts], version="1").verdict  # type: ignore[arg-type]

    assert [verdict(), verdict("ok", "unknown"), verdict("warning", "unknown"), verdict("ok", "wrong", "warning")] == [
        "ok",
        "unknown",
        "warning",
        "wrong",
    ]


@pytest.mark.parametrize(
    ("skew", "verdict", "part"),
    [
        (Skew(0.2, 0.001), "ok", "200 ms"),
        (Skew(-4.6, 0.5), "warning", "4 s behind"),
        (Skew(4.0, 3.5), "ok", "4 s"),  # the answer took seven seconds: no more can be said
        (Skew(90.0, 0.0), "wrong", "90 s ahead"),
    ],
)
def test_clocks_are_judged_by_what_is_certain(skew: Skew, verdict: str, part: str):
    check = judge_clock("postgres", skew)

    assert (check.verdict, part in check.detail) == (verdict, True), check


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (judge_postgres("12.1", 12), "wrong"),
        (judge_postgres("16.4", 16), "warning"),
        (judge_postgres("18.6", 18), "ok"),
        (judge_postgres("19.0", 19), "ok"),
        (judge_clickhouse("24.8.1.1"), "wrong"),
        (judge_clickhouse("26.8.3.1"), "warning"),
        (judge_clickhouse("26.10.1.1"), "ok"),
        (judge_clickhouse("27.1.1.1"), "ok"),
        (judge_connections(97, 40, 10), "ok"),
        (judge_connections(97, 90, 10), "warning"),
        (judge_connections(10, 0, 10), "wrong"),
        (judge_space("x", "It:", free=40 * 2**30, total=100 * 2**30), "ok"),
        (judge_space("x", "It:", free=10 * 2**30, total=100 * 2**30), "warning"),
        (judge_space("x", "It:", free=4 * 2**30, total=100 * 2**30), "wrong"),
        (judge_space("x", "It:", free=2**29, total=2**30), "wrong"),
        (judge_space("x", "It:", free=0, total=0), "wrong"),
        (judge_parts("events", "202606", 1), "ok"),
        (judge_parts("events", "202606", 400), "warning"),
        (judge_parts("events", "202606", 1_500), "wrong"),
        (judge_workers(2, 100), "ok"),
        (judge_workers(0, 0), "warning"),
        (judge_workers(0, 1), "wrong"),
        (judge_queue(BACKLOGS[0], 10, 59), "ok"),
        (judge_queue(BACKLOGS[0], 10, 60), "warning"),
        (judge_queue(BACKLOGS[0], 10, 600), "wrong"),
    ],
)
def test_numbers_are_judged(check: Check, verdict: str):
    assert check.verdict == verdict
    assert bool(check.remedy) == (verdict != "ok")


def test_lengths_of_time_are_said_shortly():
    assert [in_words(seconds) for seconds in (0.004, 3.2, 119, 120, 7_199, 7_200, 172_800)] == [
        "4 ms",
        "3 s",
        "119 s",
        "2 min",
        "119 min",
        "2 h",
        "2 d",
    ]


@pytest.mark.parametrize(
    ("held", "open_", "verdict", "says"),
    [
        (0, 40, "unknown", "is the only wall"),
        (40, 0, "ok", "one tenant at a time"),
        (39, 1, "warning", "1 tables, events among them"),
        (40, 40, "warning", "Work as the role that POSTGRES_ROLE names"),
    ],
)
def test_rows_of_other_tenants(held: int, open_: int, verdict: str, says: str):
    check = judge_rows("service", held=held, open_=open_, first="events" if open_ else None)

    assert check.verdict == verdict
    assert says in f"{check.detail} {check.remedy}"
