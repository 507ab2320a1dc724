"""Holds what the columns of a file mean and how it is written: what options, a `--map` file and a preset say."""

from __future__ import annotations

import codecs
import contextlib
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from segment_copilot.errors import InvalidInput
from segment_copilot.language.catalog import nearest
from segment_copilot.mistakes import Mistake, mistakes

Names = str | tuple[str, ...]
"""One column, or several: the first of them that a row has counts."""

_TAB: Final = {"tab": "\t", "\\t": "\t"}


class Items(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says that following rows of one *key* are one event: their columns that begin with *prefix* become a list, *name*.

    The first of them alone has *head*.
    """

    key: str
    prefix: str
    head: str
    name: str = "items"


class Layout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Says how the rows of a file become events. Columns that are not named here become properties of the event.

    A dot leads into the objects of JSON, as in `properties.distinct_id`. Without *id* an event's id is made from the
    file's content and the line; several columns of *id* are joined. With *traits_only* every row describes a user.
    """

    user: Names = ()
    event: Names = ()
    event_name: str = ""
    time: Names = ()
    id: Names = ()
    trait: tuple[str, ...] = ()
    traits_only: bool = False
    boolean: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    decimal: str = ""
    timezone: str = "UTC"
    time_format: str = ""
    encoding: str = ""
    separator: str = ""
    # What only maps and presets say:
    properties: tuple[str, ...] = ("payload",)
    """Objects whose members are properties of the event, as if they were columns."""
    profile: tuple[str, ...] = ()
    """Objects whose members are traits."""
    pairs: tuple[str, ...] = ()
    """Lists of `{"key": …, "value": {"string_value": …}}`, which become objects first."""
    anonymous: tuple[str, ...] = ()
    """Columns of anonymous ids: whoever is known by one of them alone is the user `anon_` and that id."""
    flags: tuple[str, ...] = ()
    """Columns that are boolean where they say yes or no, and stay what they are elsewhere."""
    items: Items | None = None
    id_prefix: str = ""

    def named(self) -> tuple[str, ...]:
        """Return every column that has a meaning of its own, once or more."""
        single = [*names_of(self.user), *names_of(self.event), *names_of(self.time), *names_of(self.id)]
        return (*single, *self.trait, *((self.items.key,) if self.items else ()))


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout that comes with the service: *says* which file it is for, and *shows* by which columns one is known."""

    says: str
    shows: tuple[str, ...]
    layout: Layout


def names_of(names: Names) -> tuple[str, ...]:
    """Return *names* as a tuple."""
    return (names,) if isinstance(names, str) else names


def make_layout(*, preset: str = "", map_file: Path | None = None, **given: Any) -> Layout:
    """Return what *preset* says, changed by *map_file*, changed by the options *given* (an empty one says nothing).

    Raises InvalidInput where they are wrong by themselves: no user, two kinds of event, an unknown encoding or separator.
    """
    mapped = {} if map_file is None else _read_map(map_file)
    name = preset or mapped.pop("preset", "")
    layout = _find_preset(name).layout if name else Layout()
    layout = structs.replace(layout, **{field: value for field, value in mapped.items() if field != "preset"})
    said = {field: value for field, value in given.items() if value not in (None, "", (), False)}
    if "event" in said or "event_name" in said:  # of the two, what a preset says no longer counts
        layout = structs.replace(layout, event=(), event_name="")
    layout = structs.replace(layout, **said)
    _check(layout)
    return layout


def presets() -> dict[str, Preset]:
    """Return every preset by its name."""
    text = resources.files(__package__ or "").joinpath("presets.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), type=dict[str, Preset])


def _find_preset(name: str) -> Preset:
    found = presets()
    if name not in found:
        near = nearest(name, found) or tuple(found)
        raise InvalidInput(f"There is no preset {name!r}; there is {', '.join(near)}.", code="unknown_preset")
    return found[name]


class _MapFile(Layout, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A layout that may begin with a preset."""

    preset: str = ""


def _read_map(path: Path) -> dict[str, Any]:
    """Return the fields that the TOML file *path* sets."""
    try:
        text = path.read_text("utf-8-sig")
        document = tomllib.loads(text)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.", code="unreadable_map") from error
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8. Save it as UTF-8.", code="unreadable_map") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not TOML: {error}.", code="unreadable_map") from None
    if mistake := next(mistakes(document, _MapFile), None):
        raise InvalidInput(f"{path}{_said(mistake)}.", code="wrong_map")
    layout = msgspec.convert(document, type=_MapFile)
    return {
        field.name: getattr(layout, field.name) for field in structs.fields(_MapFile) if field.encode_name in document
    }


def _said(mistake: Mistake) -> str:
    if mistake.code != "unknown_field":
        return f": {mistake.pointer[1:].replace('/', '.') or 'the map'} {mistake.sentence}"
    fields = [field.encode_name for field in structs.fields(_MapFile)]
    near = nearest(mistake.name, fields) or fields
    return f" names {mistake.name!r}, which no map has; there is {', '.join(near)}"


def _check(layout: Layout) -> None:
    if layout.event and layout.event_name:
        raise InvalidInput("Give --event COLUMN or --event-name NAME, one of the two.", code="two_event_columns")
    if layout.traits_only and (layout.event or layout.event_name):
        raise InvalidInput(
            "With --traits-only no row is an event: leave out --event and --event-name.", code="no_events"
        )
    if not layout.traits_only and not layout.event and not layout.event_name:
        detail = "Give --event COLUMN or --event-name NAME, one of the two; or --traits-only where rows describe users."
        raise InvalidInput(detail, code="no_event_column")
    if layout.separator and (len(separator := read_separator(layout.separator)) != 1 or separator in '"\r\n'):
        detail = f"{layout.separator!r} is no separator. Give one character, or the word tab."
        raise InvalidInput(detail, code="wrong_separator")
    if layout.decimal not in {"", ".", ","} or (layout.decimal and not layout.number):
        detail = (
            "Give --decimal with --number COLUMN, and as . or ,: it is the mark before the decimals of those columns."
        )
        raise InvalidInput(detail, code="wrong_decimal")
    if layout.encoding:
        check_encoding(layout.encoding)


def missing_columns(layout: Layout) -> Sequence[str]:
    """Return the options without which nothing can be read: a user, and a time unless rows describe users."""
    needed = {"--user": layout.user, "--time": layout.time or layout.traits_only}
    return [option for option, value in needed.items() if not value]


def read_separator(text: str) -> str:
    """Return the character that *text* means; the word `tab` is one."""
    return _TAB.get(text.lower(), text)


def check_encoding(name: str) -> str:
    """Return the codec's own name; raises InvalidInput where there is none of that name that decodes text."""
    try:
        found = codecs.lookup(name)
        with contextlib.suppress(UnicodeError):  # of this one byte, which is no text in every encoding
            b"a".decode(found.name)  # raises LookupError for a codec that makes no text, such as rot13
    except (LookupError, ValueError):
        detail = f"{name!r} is no encoding. Common ones are utf-8, utf-16, windows-1252 and latin-1."
        raise InvalidInput(detail, code="unknown_encoding") from None
    return found.name
