"""Evaluation of the copilot: what was asked, what came back, which grader said what, and that graders can tell right from wrong."""
