"""Shows where migrations stand and what would run: `migrate --status` and `migrate --dry-run`."""

from __future__ import annotations

import asyncio
from typing import Final

import typer

from segment_copilot.commands.printing import print_json, print_rows
from segment_copilot.commands.serving import migrations_of, planned_migrations
from segment_copilot.settings import Settings

_STOP: Final = frozenset(["pending", "changed"])


def show_status(settings: Settings, *, as_json: bool) -> int:
    """Print every migration and where it stands; return 1 while one is pending or is not what was applied, else 0."""
    standings = asyncio.run(migrations_of(settings))
    if as_json:
        print_json(standings)
    else:
        print_rows(("migration", "state", "applied"), ([one.name, one.state, one.applied_at] for one in standings))
    return int(any(one.state in _STOP for one in standings))


def show_plan(settings: Settings, *, as_json: bool) -> None:
    """Print the statements that `migrate` would run, in their order, as SQL with the migrations' names as comments."""
    plan = asyncio.run(planned_migrations(settings))
    if as_json:
        print_json(plan)
        return
    if not plan:
        typer.echo("-- Nothing to do: every migration is applied.")
    for name, statements in plan.items():
        typer.echo(f"-- {name}")
        for statement in statements:
            typer.echo(f"{statement};")
        typer.echo("")
