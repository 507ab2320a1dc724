"""What docs/schemas.md tells a reader to type does what the page says: every block, in order, in one shell."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "schemas.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_every_block_of_the_page_works(server: Any, client: Any):
    commands = "\n".join(BLOCKS).replace("curl ", "curl --silent --show-error --fail-with-body --write-out '\\n' ")
    running = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", commands),
        env=os.environ | {"URL": server.url, "API_KEY": server.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await running.communicate()
    assert running.returncode == 0, output.decode()

    declared, inferred, judged, catalog, events, kind, traits, *values = map(json.loads, output.splitlines())
    assert declared["id"]
    (schema,) = inferred["schemas"]
    assert [(one["name"], one["type"], one["required"]) for one in schema["properties"]] == [
        ("at", "datetime", False),
        ("reason", "string", True),
        ("refund", "number", False),
    ]
    assert (await client.post("/api/schemas/", json=schema)).status_code == 201
    assert [(one["code"], one["pointer"]) for one in (*judged["errors"], *judged["warnings"])] == [
        ("missing_property", "/payload/order_id"),
        ("wrong_type", "/payload/weight"),
        ("undeclared_property", "/payload/carrier"),
    ]
    assert [one["name"] for one in catalog["event_types"]] == ["order_shipped"]
    assert events["count"] == 1
    assert [one["name"] for one in kind["properties"]] == ["address.country", "order_id", "shipped_at", "weight"]
    assert (traits["results"], [one["values"] for one in values]) == ([], [[], []])
