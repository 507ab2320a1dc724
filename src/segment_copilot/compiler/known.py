"""Joins rows with what is known of their users: the traits that their values are compared with.

Each is the newest value as of the plan's instant, read as its type, and stands as a column beside the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from segment_copilot.compiler.aggregates import TIME_AND_ID
from segment_copilot.compiler.fragments import Fragment, bind, join, nested, sql
from segment_copilot.compiler.predicates import known_column, typed_value
from segment_copilot.compiler.slots import Known
from segment_copilot.compiler.tables import Tables, of_traits
from segment_copilot.compiler.values import stored_value


def beside(tables: Tables, known: Sequence[Known]) -> Tables:
    """Return tables whose events and traits are read with the values of these traits beside them."""
    if not known:
        return tables
    names = list(dict.fromkeys(one.trait for one in known))
    rows = tables.traits(of_traits(names))
    columns = join(", ", [_newest(one, is_only=len(names) == 1) for one in known])
    template = "SELECT {} AS known_key, {}\n{}\nGROUP BY known_key"
    return tables.beside(nested(sql(template, tables.join_key, columns, rows)))


def _newest(known: Known, *, is_only: bool) -> Fragment:
    """Write the newest value of a trait, NULL where it is none of its type: in a tuple, since aggregates pass over NULL."""
    value = typed_value(stored_value("value", known.other.path), known.kind, known.epoch, known.other.zone)
    if is_only:
        return sql("argMax(tuple({}), {}).1 AS {}", value, TIME_AND_ID, known_column(known))
    template = "argMaxIf(tuple({}), {}, property = {}).1 AS {}"
    return sql(template, value, TIME_AND_ID, bind(known.trait, "String"), known_column(known))
