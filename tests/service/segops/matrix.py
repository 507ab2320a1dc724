"""The matrix of SegOps' SDKs: every method they have, found by looking, and whether it works here, found by calling."""

from __future__ import annotations

import inspect
import re
import urllib.request
from collections.abc import Iterator
from typing import Final

from msgspec import Struct
from segops import SegOpsClient
from segops_admin import SegOpsAdmin
from segops_admin._cli import COMMANDS

from tests.service.segops import activations, commands, ingestion, library
from tests.service.segops.calls import CALLS, Call
from tests.service.segops.world import Wire, World

OF_ANOTHER_PRODUCT: Final = {"product_segments", "products", "queries", "pages"}
LIFECYCLE: Final = {"close"}  # SegOpsClient.shutdown by another name

ROOMS: Final = (library, activations, ingestion, commands)
"""Imported so that their calls are in the table."""


class Outcome(Struct, frozen=True):
    """A method, the route it calls, and why it does not work; nothing where it does."""

    method: str
    route: str
    failure: str = ""


def methods() -> Iterator[str]:
    """Every public method of the two libraries, and every command of the command line."""
    admin = SegOpsAdmin("sk_any")
    for resource, value in sorted(vars(admin).items()):
        if hasattr(value, "_http"):
            for name, _ in inspect.getmembers(value, inspect.ismethod):
                if not name.startswith("_"):
                    yield f"{resource}.{name}"
    for name, _ in inspect.getmembers(SegOpsClient, inspect.isfunction):
        if not name.startswith("_"):
            yield f"SegOpsClient.{name}"
    yield from (f"segops-admin {command}" for command in sorted(COMMANDS))


def resource_of(method: str) -> str:
    """The resource that a method or a command is of."""
    return method.removeprefix("segops-admin ").split(".")[0].split(" ")[0]


def expected() -> list[str]:
    """The methods that are to work: those of this product."""
    return [
        method
        for method in methods()
        if resource_of(method) not in OF_ANOTHER_PRODUCT and method.removeprefix("SegOpsClient.") not in LIFECYCLE
    ]


def run(world: World) -> list[Outcome]:
    """Call every method of the table, and note how it went and what it sent."""
    wire = Wire()
    urllib.request.install_opener(urllib.request.build_opener(wire))
    try:
        return [_outcome(world, wire, call) for call in sorted(CALLS, key=_order)]
    finally:
        urllib.request.install_opener(urllib.request.build_opener())


def _outcome(world: World, wire: Wire, call: Call) -> Outcome:
    wire.sent.clear()
    try:
        call.check(world)
        if not (call.method.startswith("segops-admin") or any(_is(call.route, sent) for sent in wire.sent)):
            return Outcome(call.method, call.route, f"It sent {', '.join(wire.sent)}.")
    except Exception as error:  # noqa: BLE001  # whatever an SDK raises is an outcome
        return Outcome(call.method, call.route, f"{type(error).__name__}: {error}".partition("\n")[0])
    return Outcome(call.method, call.route)


def _order(call: Call) -> int:
    return next(
        (place for place, start in enumerate(("SegOpsClient", "segops-admin"), 1) if call.method.startswith(start)), 0
    )


def _is(route: str, sent: str) -> bool:
    pattern = re.sub(r"<\w+>", "[^/]+", route)
    return re.fullmatch(pattern, sent) is not None


def page(outcomes: list[Outcome]) -> str:
    """The matrix as a page of the docs."""
    working = sum(not outcome.failure for outcome in outcomes)
    foreign = [method for method in methods() if resource_of(method) in OF_ANOTHER_PRODUCT]
    rows = [f"| `{outcome.method}` | `{outcome.route}` | {outcome.failure or 'yes'} |" for outcome in outcomes]
    return "\n".join(
        [
            "# SegOps' SDKs",
            "",
            "The packages `segops` and `segops-admin` 0.2.2, libraries and command line, unmodified, with a key of yours:",
            '`SegOpsClient(URL, key)` sends events, `SegOpsAdmin(key, base_url=URL + "/api")` does the rest, with `/api`, as the variable',
            "`SEGOPS_API_URL` of its command line has it; [Clients](guides/clients.md) has both in use. `make segops` calls every method",
            "against a running service, asserts what comes back, and writes this page; a test holds it.",
            "",
            f"{working} of {len(outcomes)} calls work.",
            "",
            "| method | route | works |",
            "| --- | --- | --- |",
            *rows,
            "",
            f"Of other products of SegOps ({len(foreign)}), and not part of this one: those of "
            + ", ".join(f"`{name}`" for name in sorted(OF_ANOTHER_PRODUCT))
            + ".",
            "",
        ]
    )
