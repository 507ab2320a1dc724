"""Finds what is odd about a valid definition. It only says what is proved for every data set, and stops nothing."""

from segment_copilot.language.lint.contradictions import lint

__all__ = ["lint"]
