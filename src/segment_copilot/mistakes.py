"""Mistakes: what is wrong with a document of some type, each in a sentence that says what is allowed and what is there.

msgspec judges whether a value fits; it tells one mistake at a time and in words of Python, so that nothing of its own
text is passed on. This module knows neither the language nor HTTP: whoever was sent a document words the refusal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeGuard, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta, Raw, Struct, UnsetType, inspect

from segment_copilot.documents import escape, read_json

TOO_DEEP: Final = "it nests too deep"
MAX_SHOWN: Final = 40  # characters of a value that was sent

Code = Literal["unknown_field", "missing_field", "unknown_value", "out_of_range", "wrong_type"]


class Mistake(Struct, frozen=True):
    """One mistake.

    *pointer* leads to the value, or to the object whose field is unknown or missing. *name* is that field, or the
    text that is none of *choices*. *sentence* begins after its subject and has no full stop: "must be a whole number of
    at least 1; it is -3".
    """

    pointer: str
    code: Code
    sentence: str
    name: str = ""
    choices: tuple[str, ...] = ()


def mistakes(document: object, type_: Any, pointer: str = "") -> Iterator[Mistake]:
    """Yield everything that keeps *document*, decoded JSON at *pointer*, from being a *type_*, in the document's order.

    Of a value that may be of several kinds, the one of its own JSON type is meant. What is raw is not looked into.
    """
    parts = _alternatives(type_)
    if Raw in parts:
        return
    if _is_object(document):
        if structs := [part for part in parts if _is_struct(part)]:
            yield from _in_struct(document, structs, pointer)
            return
        if (
            mapping := next((part for part in parts if _origin(part) in _MAPPINGS and get_args(part)), None)
        ) is not None:
            for key, value in document.items():
                yield from mistakes(value, get_args(mapping)[1], f"{pointer}/{escape(key)}")
            return
    if _is_list(document):
        items = next((part for part in parts if _origin(part) in _LISTS and get_args(part)), None)
        if items is not None:
            if any(_is_out_of_bounds(document, kind) for kind in _kinds(type_)):
                yield _about(document, type_, pointer)
            for index, value in enumerate(document):
                yield from mistakes(value, get_args(items)[0], f"{pointer}/{index}")
            return
    if not _fits(document, type_):
        yield _about(document, type_, pointer)


def _in_struct(document: Mapping[str, object], structs: Sequence[type[Struct]], pointer: str) -> Iterator[Mistake]:
    by_tag = {struct.__struct_config__.tag: struct for struct in structs}
    tag_field = structs[0].__struct_config__.tag_field
    struct: type[Struct] | None = structs[0]
    if tag_field is not None and (len(structs) > 1 or tag_field in document):
        if tag_field not in document:
            yield Mistake(pointer, "missing_field", f"{tag_field} is missing", tag_field)
            return
        tag = document[tag_field]
        struct = by_tag.get(tag) if isinstance(tag, str | int) else None
        if struct is None:
            yield _about(tag, Literal[tuple(sorted(map(str, by_tag)))], f"{pointer}/{escape(tag_field)}")  # type: ignore[valid-type]
            return
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in document:
        if name not in fields and name != tag_field and struct.__struct_config__.forbid_unknown_fields:
            written = tuple(one for one, field in fields.items() if not is_marked(field.type, "readOnly"))
            yield Mistake(pointer, "unknown_field", f"has no field {shown(name)}", name, written)
    for name, field in fields.items():
        if name in document:
            yield from mistakes(document[name], field.type, f"{pointer}/{escape(name)}")
        elif field.required:
            yield Mistake(pointer, "missing_field", f"{name} is missing", name)


def _about(value: object, type_: Any, pointer: str) -> Mistake:
    """Return the mistake of a value that is, as a whole, not what it must be; a secret is not repeated."""
    kinds = _kinds(type_)
    choices = tuple(str(choice) for kind in kinds if isinstance(kind, inspect.LiteralType) for choice in kind.values)
    sentence = f"must be {described(type_)}"
    if not is_marked(type_, "writeOnly"):
        sentence += f"; it {_is(value, kinds)}"
    if choices and isinstance(value, str):
        return Mistake(pointer, "unknown_value", sentence, value, choices)
    is_bounded = any(_is_out_of_bounds(value, kind) for kind in kinds)
    return Mistake(pointer, "out_of_range" if is_bounded else "wrong_type", sentence, choices=choices)


# Types


_MAPPINGS: Final = ("dict", "Mapping")
_LISTS: Final = ("list", "tuple", "Sequence")


def _fits(document: object, type_: Any) -> bool:
    try:
        msgspec.convert(document, type_)
    except (msgspec.ValidationError, UnicodeEncodeError):  # half a surrogate pair
        return False
    return True


def _alternatives(type_: Any) -> list[Any]:
    """Return what a value may be, without what is annotated: the parts of a union, or the one type."""
    origin = get_origin(type_)
    if origin is Annotated:
        return _alternatives(get_args(type_)[0])
    if origin is Union or origin is _Bar:
        return [part for each in get_args(type_) for part in _alternatives(each)]
    return [type_]


_Bar: Final = type(int | str)


def _origin(type_: Any) -> str:
    return getattr(get_origin(type_) or type_, "__name__", "")


def _is_struct(type_: object) -> TypeGuard[type[Struct]]:
    return isinstance(type_, type) and issubclass(type_, Struct)


def _is_list(document: object) -> TypeGuard[list[object]]:
    return isinstance(document, list)


def _is_object(document: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(document, Mapping)


@cache
def _kinds(type_: Any) -> tuple[inspect.Type, ...]:
    return tuple(_flat(inspect.type_info(type_)))


def _flat(kind: inspect.Type) -> Iterator[inspect.Type]:
    match kind:
        case inspect.UnionType():
            for part in kind.types:
                yield from _flat(part)
        case inspect.Metadata():
            yield from _flat(kind.type)
        case inspect.CustomType(cls) if cls is UnsetType:
            pass
        case _:
            yield kind


def is_marked(type_: Any, key: str, *, mark: object = True) -> bool:
    """Return whether the JSON Schema of *type_* says *key*: `readOnly` of what is not written, `writeOnly` of what is not shown."""
    return _is_marked(_info(type_), key, mark)


@cache
def _info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


def _is_marked(kind: inspect.Type, key: str, mark: object) -> bool:
    match kind:
        case inspect.Metadata():
            schema = cast("dict[str, Any] | None", kind.extra_json_schema)  # pyright: ignore[reportUnknownMemberType]
            return (schema or {}).get(key) == mark or _is_marked(kind.type, key, mark)
        case inspect.UnionType():
            return any(_is_marked(part, key, mark) for part in kind.types)
        case _:
            return False


# Sentences


def described(type_: Any) -> str:
    """Return what a value of *type_* is, in words: "a whole number from 1 to 1,000 or null"."""
    words = list(dict.fromkeys(_words(kind) for kind in _kinds(type_)))
    if "a number" in words and "a whole number" in words:
        words.remove("a whole number")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType():
            return f"a whole number{_number_bounds(kind)}"
        case inspect.FloatType():
            return f"a number{_number_bounds(kind)}"
        case inspect.StrType():
            pattern = "" if kind.pattern is None else f" that matches {kind.pattern}"
            return f"a string{_length_bounds(kind, 'character')}{pattern}"
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.LiteralType():
            values = [str(value) for value in kind.values]
            return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
        case inspect.DateTimeType():
            return "an instant with its offset, such as 2026-06-01T12:00:00Z"
        case inspect.DateType():
            return "a date, such as 2026-06-01"
        case inspect.StructType() | inspect.DictType():
            return "an object"
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list{_length_bounds(kind, 'item')}"
        case _:
            return "of another kind"


def _number_bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:,} to {kind.le:,}"
    bounds = {"of at least": kind.ge, "above": kind.gt, "of at most": kind.le, "below": kind.lt}
    told = " and ".join(f"{word} {bound:,}" for word, bound in bounds.items() if bound is not None)
    steps = "" if kind.multiple_of is None else f" in steps of {kind.multiple_of:,}"
    return f"{' ' * bool(told)}{told}{steps}"


def _length_bounds(kind: inspect.StrType | inspect.ListType | inspect.VarTupleType, unit: str) -> str:
    least, most = kind.min_length or 0, kind.max_length
    if least and most is not None:
        return f" of {least:,} to {_count(most, unit)}"
    if most is not None:
        return f" of at most {_count(most, unit)}"
    return f" of at least {_count(least, unit)}" if least else ""


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def _is(value: object, kinds: Sequence[inspect.Type]) -> str:
    """Return what is there, as it goes on after "it"."""
    match value:
        case str() if len(value) > MAX_SHOWN and any(_is_out_of_bounds(value, kind) for kind in kinds):
            return f"has {_count(len(value), 'character')}"
        case list() if any(isinstance(kind, inspect.ListType | inspect.VarTupleType) for kind in kinds):
            return f"has {_count(len(cast('list[object]', value)), 'item')}" if value else "is empty"
        case _:
            return f"is {shown(value)}"


def shown(value: object) -> str:
    """Return *value* as an answer names it: short, as JSON writes it, and of a list or object only that it is one."""
    match value:
        case list():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            text = json.dumps(value, ensure_ascii=False)
            if len(text) > MAX_SHOWN:
                text = f"{text[:MAX_SHOWN]}…{text[-1] if isinstance(value, str) else ''}"
            return text.encode(errors="backslashreplace").decode()


def _is_out_of_bounds(value: object, kind: inspect.Type) -> bool:
    match value, kind:
        case bool(), _:
            return False
        case int(), inspect.IntType() | inspect.FloatType():
            return True  # of its kind, and refused all the same
        case float(), inspect.FloatType():
            return True
        case str(), inspect.StrType():
            return _is_of_wrong_length(len(value), kind)
        case list(), inspect.ListType() | inspect.VarTupleType():
            return _is_of_wrong_length(len(cast("list[object]", value)), kind)
        case _:
            return False


def _is_of_wrong_length(length: int, kind: inspect.StrType | inspect.ListType | inspect.VarTupleType) -> bool:
    return length < (kind.min_length or 0) or (kind.max_length is not None and length > kind.max_length)


# What is not JSON at all


def unreadable(text: bytes | str | Raw) -> str:
    """Return why *text* cannot be read as JSON, to go on after "is not JSON: "; empty when it can."""
    try:
        read_json(text if isinstance(text, str) else bytes(text).decode())
    except UnicodeDecodeError as error:
        return f"byte {error.start} is {error.object[error.start]:#04x}, which is not UTF-8"
    except json.JSONDecodeError as error:
        reason = next((words for start, words in _REASONS.items() if error.msg.startswith(start)), "it cannot be read")
        return f"{reason} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        return TOO_DEEP
    except ValueError as error:  # NaN and the infinities
        return str(error)
    return ""


_REASONS: Final = {
    "Expecting value": "a value is missing",
    "Expecting property name": "a key in double quotes is missing",
    "Expecting ':'": "a colon is missing",
    "Expecting ','": "a comma, or the end of the list or object, is missing",
    "Extra data": "something follows the end of the document",
    "Unterminated string": "a string begins that does not end",
    "Invalid control character": "a control character is not escaped",
    "Invalid \\": "an escape is wrong",
    "Illegal trailing comma": "nothing follows a comma",
    "Unexpected UTF-8 BOM": "a byte order mark stands",
}


def with_meta(type_: Any, **limits: Any) -> Any:
    """Return *type_* with those of *limits* that are not None, as msgspec reads them."""
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return Annotated[type_, Meta(**given)] if given else type_
