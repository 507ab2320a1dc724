"""How far those tests look that try very many cases: at a part of them in `make test`, at all in `make search`.

Such a test is marked `search`. What is left out of `make test` are more cases of what the others show already, evenly
taken, never a kind of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeVar

Case = TypeVar("Case")

IS_FULL: Final = os.environ.get("SEARCH") == "full"


def some(cases: Sequence[Case], *, one_in: int) -> Sequence[Case]:
    """Return the first and then every *one_in*th of *cases*; all of them in a full search."""
    return cases if IS_FULL else cases[::one_in]
