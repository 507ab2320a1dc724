r"""Property paths: dots walk into objects, ``\.`` is a literal dot, ``\\`` a literal backslash."""

from __future__ import annotations

from typing import Final

PATH_PATTERN: Final = r"^(?:[^.\\]|\\[.\\])+(?:\.(?:[^.\\]|\\[.\\])+)*$"
"""What a path looks like, as JSON Schema says it; that no key holds %2E is not in it."""


def parse_path(text: str) -> tuple[str, ...]:
    """Return the keys of a path, outermost first.

    Raises:
        ValueError: An empty step, a backslash before anything but a dot or a backslash, or a key that no event can have.
    """
    steps, step = list[str](), ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if escaped not in {".", "\\"}:
                raise ValueError(r"In a path a backslash stands before a dot or a backslash only: \. or \\.")
            step += escaped
        elif character == ".":
            steps.append(step)
            step = ""
        else:
            step += character
    steps.append(step)
    if any("%2E" in step for step in steps):
        raise ValueError("A key cannot hold %2E, which is how a dot in a key is stored: write \\. for the dot.")
    if not all(steps):
        raise ValueError("A path has no empty step; write a literal dot as \\.")
    return tuple(steps)


def format_path(steps: tuple[str, ...]) -> str:
    """Write the keys as a path; the inverse of `parse_path`."""
    return ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in steps)
