"""Questions about who joined a segment and who left it, to plans."""

from __future__ import annotations

from typing import Final

from segment_copilot.english.answers.movement_answers import Movement
from segment_copilot.english.plan import Plan
from segment_copilot.english.questions.asking import Question
from segment_copilot.english.questions.names import SEGMENT_WORDS
from segment_copilot.english.words.lexicon import PEOPLE, stems

_JOINING: Final = stems("join joined enter entered joiner newcomer gain gained")
_LEAVING: Final = stems("leave left leaving leaver exit exited lose lost")
_IN: Final = (
    "came into", "come into", "comes into", "got into", "moved into", "new in", "new to", "new members", "newest members", "latest members", "added to", "got added",
)  # fmt: skip
_OUT: Final = (
    "dropped out", "fell out", "fallen out", "went out", "got out", "moved out", "dropped off", "fell off", "removed from",
    "got removed", "lost members",
)  # fmt: skip
_BOTH: Final = (
    "recent changes", "latest changes", "last changes", "what changed in", "what has changed in", "what changed for", "what happened in", "what happened to", "what happened with",
    "membership changes", "ins and outs", "comings and goings",
)  # fmt: skip
_FILLING: Final = stems(
    "come came get got move moved new add added drop dropped fall fell fallen go went gone out off into in to from of remove removed "
    "change changed happen happened with newest recent latest last membership member and or who since newly ins outs comings goings up for during"
)
_NEVER: Final = frozenset({"not", "never", "no", "without", "except", "but", "if", "would"})


def read_movements(question: Question) -> Plan | None:
    """Of "who joined and left Churn Risk since Monday": from the log of changes, and nothing is drafted."""
    if question.segment is None or len(question.segments) > 1 or len(question.windows) > 1:
        return None
    if question.first == "why" or question.says("left out", "leave out", "leaves out") or question.lowers & _NEVER:
        return None
    both = question.says(*_BOTH)
    joining = both or question.has(_JOINING) or question.says(*_IN)
    leaving = both or question.has(_LEAVING) or question.says(*_OUT)
    if not (joining or leaving) or question.left(_JOINING, _LEAVING, PEOPLE, SEGMENT_WORDS, _FILLING):
        return None
    return Movement(question.segment.id, question.window, joined=joining, left=leaving, limit=question.number)
