"""Edits a definition by a JSON Patch (RFC 6902), so that what the patch does not touch stays byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

import jsonpatch
import msgspec
from jsonpointer import JsonPointer, JsonPointerException
from msgspec import UNSET, Struct, UnsetType

from segment_copilot.documents import escape
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language.catalog import nearest

Document = Mapping[str, Any]


class PatchOperation(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One step of a JSON Patch."""

    op: Literal["add", "remove", "replace", "move"]
    path: str
    value: Any = UNSET
    from_: str | UnsetType = UNSET


class PreservedEdit(Struct, frozen=True):
    """A definition in which conditions are as they were; *pointers* says which."""

    document: Document
    pointers: frozenset[str]


def apply_patch(base: Document, patch: Sequence[PatchOperation]) -> Document:
    """Return *base* after the operations, one after the other; *base* itself stays.

    Raises:
        InvalidInput: An operation does not fit; the finding points at it and names the paths there are.
    """
    document: Any = base
    for index, operation in enumerate(patch):
        _check(operation, index)
        try:
            document = jsonpatch.apply_patch(document, [msgspec.to_builtins(operation)])
        except (jsonpatch.JsonPatchException, JsonPointerException) as error:
            raise _unfit(document, operation, index) from error
        except RecursionError as error:
            raise _wrong(f"/patch/{index}/value", "This nests too deep.") from error
    return cast("Document", document)


def keep(base: Document, edited: Document, settled: Document) -> PreservedEdit:
    """Return *settled* (*edited* in canonical spelling) with each condition of *base* that is in *edited* unchanged."""
    known = {_text(condition) for condition in conditions(base)}
    pointers: set[str] = set()

    def preserve_condition(before: Any, after: Any, pointer: str) -> Any:
        if _text(before) in known:
            pointers.add(pointer)
            return before
        return preserve_group(before, after, pointer) if "conditions" in before else after

    def preserve_group(before: Document, after: Document, pointer: str) -> dict[str, Any]:
        inner = zip(before["conditions"], after["conditions"], strict=True)
        children = [
            preserve_condition(old, new, f"{pointer}/conditions/{index}") for index, (old, new) in enumerate(inner)
        ]
        return {**after, "conditions": children}

    document = preserve_group(edited, settled, "")
    if "exclude" in settled:
        document["exclude"] = preserve_group(edited["exclude"], settled["exclude"], "/exclude")
    return PreservedEdit(document, frozenset(pointers))


def difference(base: Document, edited: Document) -> tuple[Document, ...]:
    """Return the JSON Patch that turns *base* into *edited*."""
    return tuple(jsonpatch.make_patch(base, edited).patch)


def conditions(document: Any) -> Iterator[Document]:
    """Yield every condition of a definition, groups and their own included; of other JSON, what looks like one."""
    yield from _inside(document)
    yield from _inside(_member(document, "exclude"))


def _inside(group: Any) -> Iterator[Document]:
    found = _member(group, "conditions")
    for condition in cast("list[Any]", found) if isinstance(found, list) else ():
        yield condition
        yield from _inside(condition)


def _member(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _text(value: object) -> bytes:
    return msgspec.json.encode(value)


def _check(operation: PatchOperation, index: int) -> None:
    if operation.op in {"add", "replace"} and operation.value is UNSET:
        raise _wrong(f"/patch/{index}", f"{operation.op} needs a value.")
    if operation.op == "move" and operation.from_ is UNSET:
        raise _wrong(f"/patch/{index}", "move needs from: the path to take it from.")
    if not operation.path:
        raise _wrong(f"/patch/{index}/path", "A patch changes parts. For another definition use propose_segment.")


def _unfit(document: Any, operation: PatchOperation, index: int) -> InvalidInput:
    wrong = operation.path
    if operation.from_ is not UNSET and _is_nowhere(document, operation.from_):
        wrong = operation.from_
    field = "path" if wrong == operation.path else "from"
    near = nearest(wrong, _paths(document))
    return _wrong(f"/patch/{index}/{field}", f"The definition has no {wrong[:200]!r} here.", near)


def _is_nowhere(document: Any, path: str) -> bool:
    try:
        JsonPointer(path).resolve(document)
    except JsonPointerException:
        return True
    return False


def _paths(value: Any, pointer: str = "") -> Iterator[str]:
    children: Any = ()
    if isinstance(value, dict):
        children = cast("dict[str, Any]", value).items()
    elif isinstance(value, list):
        yield f"{pointer}/-"
        children = enumerate(cast("list[Any]", value))
    for key, child in children:
        here = f"{pointer}/{escape(key)}"
        yield here
        yield from _paths(child, here)


def _wrong(pointer: str, detail: str, near: tuple[str, ...] = ()) -> InvalidInput:
    message = "The patch does not fit the definition; its paths point into the definition as it stands, step by step."
    return InvalidInput(message, code="invalid_patch", findings=[Finding(pointer, "invalid_patch", detail, near)])
