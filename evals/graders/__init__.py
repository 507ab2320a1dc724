"""Graders: each looks at one thing, without a model, and says in a sentence what it saw."""

from evals.graders.grading import Answer, Grade, Grading
from evals.graders.registry import GRADERS, grade

__all__ = ["GRADERS", "Answer", "Grade", "Grading", "grade"]
