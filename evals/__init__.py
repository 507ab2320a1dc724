"""Evaluates the copilot: what was asked, what came back, what graders say, and that they tell right from wrong."""
