"""Files that start the service elsewhere follow the schemas of who reads them, and name what exists here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
import yaml

from segment_copilot.doctor.clickhouse import NEEDED, NEEDED_EVERYWHERE
from segment_copilot.embedded import clickhouse_config
from segment_copilot.settings import Settings
from tests.deploy.image import environment, stages

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SETTINGS = {field.encode_name for field in msgspec.structs.fields(Settings)}


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.compose-spec", "compose/compose.yaml"),
        ("vendor.github-workflows", "ci/github.yml"),
        ("vendor.github-workflows", "ci/release-github.yml"),
        ("vendor.gitlab-ci", "ci/gitlab.yml"),
        ("vendor.gitlab-ci", "ci/release-gitlab.yml"),
    ],
)
def test_a_file_follows_its_schema(schema: str, file: str):
    """By the JSON Schemas that check-jsonschema ships: no network."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(DEPLOY / file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


def test_compose_sets_settings_that_exist():
    services = compose()["services"]

    assert services.keys() == {"postgres", "clickhouse", "migrate", "api", "worker"}
    for name in ("migrate", "api", "worker"):
        assert services[name]["environment"].keys() <= SETTINGS
        assert (services[name]["read_only"], services[name]["cap_drop"]) == (True, ["ALL"])


def test_compose_asks_for_what_its_example_lists():
    text = COMPOSE.read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    example = set(re.findall(r"^(\w+)=", (DEPLOY / "compose" / "example.env").read_text(), re.MULTILINE))

    assert required <= example <= set(re.findall(r"\$\{(\w+)", text))
    assert (
        re.findall(r"^\w+=.+", (DEPLOY / "compose" / "example.env").read_text(), re.MULTILINE) == []
    )  # no password is shipped


def test_compose_publishes_the_port_that_the_image_listens_on():
    (_, last) = stages((ROOT / "Dockerfile").read_text())

    assert [port.rpartition(":")[2] for port in compose()["services"]["api"]["ports"]] == [environment(last)["PORT"]]


def test_compose_mounts_files_that_are_there():
    mounted = [
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]

    assert [name for name in mounted if not (COMPOSE.parent / name).exists()] == []
    assert len(mounted) == 3


def grants(text: str, database: str) -> set[str]:
    """Return the grants of the service's user, with its database named alike."""
    return {grant.replace(database, "DATABASE") for grant in re.findall(r"<query>(.*?)</query>", text)}


def test_clickhouses_user_has_the_rights_that_all_tests_run_with(tmp_path: Path):
    """The embedded engines' user is the one that every test of this project works as."""
    clickhouse_config.write_configuration(tmp_path, port=1, user_password="x", keeper_password="x")
    ours = ET.parse(DEPLOY / "compose" / "clickhouse" / "users.xml").find("users/segment_copilot/grants")  # noqa: S314
    theirs = ET.parse(tmp_path / "users.xml").find("users/app/grants")  # noqa: S314
    assert ours is not None
    assert theirs is not None

    said = grants(ET.tostring(ours, "unicode"), "segment_copilot.")

    assert said == grants(ET.tostring(theirs, "unicode"), "segment_copilot*.")
    (whole,) = [grant for grant in said if "ON DATABASE" in grant]
    rights = {right.strip() for right in whole.removeprefix("GRANT").partition(" ON ")[0].split(",")}
    assert {need.replace("ALTER DELETE", "ALTER").replace("ALTER TABLE", "ALTER") for need in NEEDED} <= rights
    assert all(f"GRANT {need} ON *.*" in said for need in NEEDED_EVERYWHERE)


def test_servers_are_configured_in_xml():
    for file in (DEPLOY / "compose" / "clickhouse").glob("*.xml"):
        assert ET.parse(file).getroot().tag == "clickhouse"  # noqa: S314


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with a program in place of ours, which is not installed here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    copies = [tmp_path / unit.name.replace("@.", "@8001.") for unit in UNITS]
    for unit, copy in zip(UNITS, copies, strict=True):
        copy.write_text(unit.read_text().replace("/opt/segment-copilot/bin/segment-copilot", "/bin/true"))
    return copies


def test_systemd_has_nothing_to_say_about_the_units(units: list[Path]):
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert len(units) == 3


def test_units_are_shut_in(units: list[Path]):
    """Exposed by 1.3 of 10, as systemd counts."""
    for unit in units:
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout


def test_units_run_commands_that_exist():
    commands = {
        unit.name: re.findall(
            r"^ExecStart=/opt/segment-copilot/bin/segment-copilot (\w+)$", unit.read_text(), re.MULTILINE
        )
        for unit in UNITS
    }

    assert commands == {
        "segment-copilot-api.service": ["serve"],
        "segment-copilot-migrate.service": ["migrate"],
        "segment-copilot-worker@.service": ["worker"],
    }
