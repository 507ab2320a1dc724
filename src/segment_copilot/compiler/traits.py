"""Writes the reads of traits: one, or many at once.

The newest value decides: of the current ones, or of the history where a newer one is later than `as_of`. Many traits are
read together and told apart by their names, because each read of its own costs the server as much planning as the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from segment_copilot.compiler.aggregates import TIME_AND_ID
from segment_copilot.compiler.fragments import Fragment, bind, join, nested, sql
from segment_copilot.compiler.known import beside
from segment_copilot.compiler.predicates import render_test
from segment_copilot.compiler.slots import Known, Slot, TraitSlot
from segment_copilot.compiler.tables import Keys, Tables, filtered, is_in, of_traits
from segment_copilot.compiler.words import Places, columns_of_bits, is_any_bit, words_of

TraitTable = Literal["current", "history"]
"""Where traits are read: their newest values (fast when `as_of` is about now), or everything they ever were."""


class TraitReads:
    """Writes the reads of traits of one query."""

    def __init__(self, tables: Tables, table: TraitTable, *, known: Sequence[Known] = ()) -> None:
        self._plain = tables
        self._tables = beside(tables, known)
        self._table: TraitTable = table

    def keys(self, name: str, test: Fragment, narrowed: Sequence[Fragment]) -> Fragment:
        """Write `SELECT user_key` of the users whose value of one trait passes, of those that pass *narrowed*."""
        wanted = of_traits([name])
        if self._table == "history":
            return self._newest_keys(self._tables.traits(wanted, narrowed), test)
        current = self._current_keys(wanted, test)
        newest = self._newest_keys(self._tables.traits(wanted, [self._changed_since(wanted)]), test)
        return filtered(sql("{}\nUNION ALL\n{}", current, newest), narrowed)

    def _current_keys(self, wanted: Fragment, test: Fragment) -> Fragment:
        """Write `SELECT user_key` of the users whose current value stood at `as_of`, and passes."""
        if not self._tables.is_linked:
            rows = self._tables.current_traits(wanted, [*self._stood(), test], final=True)
            return sql("SELECT user_key\n{}", rows)
        rows = self._tables.current_traits(wanted, [], final=False)
        template = "SELECT {}\n{}\nGROUP BY user_key\nHAVING NOT max({}) AND argMax({}, version)"
        return sql(template, self._tables.key, rows, self._has_changed, test)

    def _newest_keys(self, rows: Fragment, test: Fragment) -> Fragment:
        template = "SELECT {}\n{}\nGROUP BY user_key\nHAVING argMax({}, {})"
        return sql(template, self._tables.key, rows, test, TIME_AND_ID)

    def bits(self, slots: Sequence[Slot], places: Places) -> Fragment:
        """Write `SELECT user_key, bits_0, …`: one row for each user and trait with a value that passes a test."""
        slots_of_name = dict[str, list[tuple[Slot, tuple[int, int]]]]()
        for slot, place in zip(slots, places, strict=True):
            slots_of_name.setdefault(cast("TraitSlot", slot).property, []).append((slot, place))
        if len(slots_of_name) == 1:
            return self._bits_of_one(slots, places)
        return self._bits_of_many(slots_of_name, places)

    def _bits_of_one(self, slots: Sequence[Slot], places: Places) -> Fragment:
        wanted = of_traits(
            [cast("TraitSlot", slots[0]).property]
        )  # before the tests: placeholders are numbered in order
        columns = columns_of_bits([trait_test(slot) for slot in slots], places)
        return self._bits(wanted, "user_key", columns, places)

    def _bits_of_many(self, slots_of_name: dict[str, list[tuple[Slot, tuple[int, int]]]], places: Places) -> Fragment:
        """Write them of several traits: a word is that of the trait that the row is of."""
        names = {name: bind(name, "String") for name in slots_of_name}
        columns = list[Fragment]()
        for word in words_of(places):
            cases = list[Fragment]()
            for name, found in slots_of_name.items():
                of_word = [(slot, place) for slot, place in found if place[0] == word]
                if of_word:
                    bits = [sql("if({}, {}, 0)", trait_test(slot), 1 << bit) for slot, (_, bit) in of_word]
                    cases.append(sql("property = {}, toUInt64({})", names[name], join(" + ", bits)))
            columns.append(sql("multiIf({}, toUInt64(0)) AS bits_{}", join(", ", cases), word))
        return self._bits(of_traits(list(names)), "property, user_key", join(", ", columns), places)

    def _bits(self, wanted: Fragment, keys: Keys, columns: Fragment, places: Places) -> Fragment:
        some, words = is_any_bit(places), words_of(places)
        is_current = self._table == "current"
        changed = [self._changed_since(wanted, keys)] if is_current else []
        history = self._tables.traits(wanted, changed)
        selected = self._selected(keys)
        rows = nested(sql("SELECT {}, {}, {} AS time_and_id\n{}", selected, columns, TIME_AND_ID, history))
        newest = [sql("argMax(rows.bits_{i}, rows.time_and_id) AS bits_{i}", i=word) for word in words]
        template = "SELECT user_key, {} FROM {} AS rows\nGROUP BY {}\nHAVING {}"
        decided = sql(template, join(", ", newest), rows, keys, some)
        if not is_current:
            return decided
        return sql("{}\nUNION ALL\n{}", self._current_bits(wanted, keys, columns, places), decided)

    def _current_bits(self, wanted: Fragment, keys: Keys, columns: Fragment, places: Places) -> Fragment:
        """Write the bits of the current values that stood at `as_of`: of a person with several ids, of the newest."""
        some = is_any_bit(places)
        if not self._tables.is_linked:
            rows = self._tables.current_traits(wanted, [*self._stood(), some], final=True)
            return sql("SELECT user_key, {}\n{}", columns, rows)
        rows = self._tables.current_traits(wanted, [], final=False)
        template = "SELECT {}, {}, version, {} AS has_changed\n{}"
        of_ids = nested(sql(template, self._selected(keys), columns, self._has_changed, rows))
        newest = [sql("argMax(rows.bits_{i}, rows.version) AS bits_{i}", i=word) for word in words_of(places)]
        template = "SELECT user_key, {} FROM {} AS rows\nGROUP BY {}\nHAVING NOT max(has_changed) AND {}"
        return sql(template, join(", ", newest), of_ids, keys, some)

    def _selected(self, keys: Keys) -> Fragment:
        """Write the keys of rows in their SELECT."""
        return self._tables.key if keys == "user_key" else sql("property, {}", self._tables.key)

    def _stood(self) -> list[Fragment]:
        """Write the conditions of a current value that stood at `as_of` already."""
        return [sql("occurred_at <= {}", self._tables.as_of), sql("is_exact")]

    def _changed_since(self, wanted: Fragment, keys: Keys = "user_key") -> Fragment:
        """Write: users whose newest value is after `as_of`, or not told from an equally old one by its number alone."""
        rows = self._plain.current_traits(wanted, [self._has_changed], final=False)
        return is_in(sql("SELECT {}\n{}", self._selected(keys), rows), keys=keys)

    @property
    def _has_changed(self) -> Fragment:
        return sql("(occurred_at > {} OR NOT is_exact)", self._tables.as_of)


def trait_test(slot: Slot) -> Fragment:
    """Write the test of a trait's value."""
    return render_test("value", cast("TraitSlot", slot).test)
