"""Migrations expand: a process of the version before goes on working on what they leave behind.

That is what lets an upgrade migrate first and replace the processes one by one afterwards, and lets it be taken back.
`tests/service/test_upgrade.py` has such a process at work; this finds what would stop it, in every new file.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import segment_copilot.stores.migrations
from segment_copilot.stores.migrations import statements

FILES = Path(segment_copilot.stores.migrations.__file__).parent

BEFORE_THE_RULE = frozenset(
    [
        "clickhouse/0003_membership_changes.sql",  # a column that was always computed may be sent since
        "clickhouse/0006_membership_bitmaps.sql",  # drops `memberships`, of which it makes bitmaps
    ]
)
"""Files that break the version before; upgrades across them stop every process first. Add none."""

CONTRACTS = "-- contract:"
"""How a file begins that takes away what the version before no longer uses: it goes on with who stopped using it, and when."""

BREAKS = {
    r"\bDROP (TABLE|VIEW|COLUMN|SEQUENCE|TYPE|DEFAULT)\b": "drops something",
    r"\bRENAME\b": "renames something",
    r"\bSET NOT NULL\b": "refuses rows without a value",
    r"\bALTER COLUMN \w+ (SET DATA )?TYPE\b": "changes a type",
    r"\bMODIFY COLUMN\b": "changes a type",
    r"\bTRUNCATE\b": "empties a table",
    r"\bEXCHANGE TABLES\b": "swaps tables",
}
_ADDED = re.compile(r"\bADD COLUMN\b[^,;]*?(?=,\s*ADD\b|$)", re.DOTALL)
_DROPPED_RULE = re.compile(r"\bDROP CONSTRAINT (?:IF EXISTS )?(\w+)")


def breaks(text: str) -> list[str]:
    """Return what in a migration would stop processes of the version before."""
    if text.startswith(CONTRACTS):
        return []
    whole = "; ".join(statements(text))
    found = [why for pattern, why in BREAKS.items() if re.search(pattern, whole, re.IGNORECASE)]
    for statement in statements(text):
        if statement.upper().startswith("ALTER TABLE"):
            found += [
                "adds a column that old INSERTs leave empty"
                for added in _ADDED.findall(statement)
                if "NOT NULL" in added.upper() and "DEFAULT" not in added.upper() and "GENERATED" not in added.upper()
            ]
    found += [
        f"drops the rule {rule} for good"  # one that comes back wider lets more rows in
        for rule in _DROPPED_RULE.findall(whole)
        if not re.search(rf"\bADD CONSTRAINT {rule}\b", whole)
    ]
    return found


def test_every_migration_leaves_the_version_before_at_work():
    found = {
        name: why
        for path in sorted(FILES.glob("*/*.sql"))
        if (name := f"{path.parent.name}/{path.name}") not in BEFORE_THE_RULE and (why := breaks(path.read_text()))
    }

    assert found == {}


def test_what_broke_before_the_rule_is_still_there():
    assert all(breaks((FILES / name).read_text()) for name in BEFORE_THE_RULE)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CREATE TABLE a (id int NOT NULL); CREATE INDEX b ON a (id); -- DROP TABLE a;", []),
        ("ALTER TABLE a ADD COLUMN b int, ADD COLUMN c text NOT NULL DEFAULT ''", []),
        ("ALTER TABLE a DROP CONSTRAINT r; ALTER TABLE a ADD CONSTRAINT r CHECK (x IN (1, 2))", []),
        ("ALTER TABLE a ALTER COLUMN b DROP NOT NULL", []),
        ("UPDATE a SET note = 'RENAMED'", []),
        ("-- contract: 0.2 stopped reading b\nALTER TABLE a DROP COLUMN b", []),
        ("ALTER TABLE a DROP COLUMN b", ["drops something"]),
        ("drop table a", ["drops something"]),
        ("ALTER TABLE a RENAME TO b", ["renames something"]),
        ("ALTER TABLE a ALTER COLUMN b SET NOT NULL", ["refuses rows without a value"]),
        ("ALTER TABLE a ALTER COLUMN b TYPE bigint", ["changes a type"]),
        ("ALTER TABLE a MODIFY COLUMN b UInt64", ["changes a type"]),
        ("ALTER TABLE a ADD COLUMN b int NOT NULL, ADD COLUMN c int", ["adds a column that old INSERTs leave empty"]),
        ("ALTER TABLE a DROP CONSTRAINT r", ["drops the rule r for good"]),
    ],
)
def test_what_breaks_is_told(text: str, why: list[str]):
    assert breaks(text) == why
