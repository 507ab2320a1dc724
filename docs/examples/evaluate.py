"""Ask the copilot your own sentences and compare what it drafts, by members, with what you meant: no package needed.

URL=… API_KEY=… python docs/examples/evaluate.py mine.json

where mine.json is `[{"ask": "…", "definition": {…}}, …]`; `"definition": null` says that nothing should be drafted.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

Definition = dict[str, Any]


def main(path: str) -> None:
    """Print how each sentence came out, and the sums."""
    cases = json.loads(Path(path).read_text(encoding="utf-8"))
    sums = Counter[str]()
    for case in cases:
        came_out, told = judge(case["ask"], case["definition"])
        sums[came_out] += 1
        print(f"{came_out:8} {case['ask']}\n         {told}")
    print(", ".join(f"{count} {came_out}" for came_out, count in sums.most_common()))


def judge(ask: str, meant: Definition | None) -> tuple[str, str]:
    """Return how one sentence came out (right, wrong, asked or refused), and what was said."""
    answer = post("/api/copilot/generate/", {"description": ask})
    draft = answer.get("draft")
    if draft is None:
        came_out = "asked" if "clarification" in answer else "refused" if meant else "right"
        return came_out, answer["text"].splitlines()[0]
    others = None if meant is None else count(different(draft["definition"], meant))
    told = draft["words"] if others is None else f"{draft['words']} {others} users differ."
    return ("right" if others == 0 else "wrong"), told


def different(one: Definition, other: Definition) -> Definition:
    """Return a definition of the users whom only one of two definitions selects."""
    halves = [both(one, negated(other)), both(negated(one), other)]
    return {"logic": "OR", "conditions": halves}


def both(first: Definition, second: Definition) -> Definition:
    """Return a condition of the users whom two definitions select."""
    return {"type": "group", "logic": "AND", "conditions": [as_group(first), as_group(second)]}


def negated(definition: Definition) -> Definition:
    """Return a definition of everybody else."""
    return {"logic": "AND", "conditions": [as_group(definition) | {"negate": True}]}


def as_group(definition: Definition) -> Definition:
    """Return a definition as one condition; what it excludes is a condition of its own."""
    inner = {"type": "group", "logic": definition["logic"], "conditions": definition["conditions"]}
    if not definition.get("exclude"):
        return inner
    excluded = {"type": "group", **definition["exclude"], "negate": True}
    return {"type": "group", "logic": "AND", "conditions": [inner, excluded]}


def count(definition: Definition) -> int:
    """Return how many users a definition selects now."""
    return post("/api/segments/preview/", {"definition": definition})["matched_users"]


def post(path: str, body: dict[str, Any]) -> Any:
    """Return the answer of a POST; a problem ends the program with its detail."""
    headers = {"Authorization": f"ApiKey {os.environ['API_KEY']}", "Content-Type": "application/json"}
    request = Request(os.environ["URL"] + path, json.dumps(body).encode(), headers)
    try:
        with urlopen(request) as answer:
            return json.load(answer)
    except HTTPError as error:
        sys.exit(f"{path}: {json.load(error)['detail']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
