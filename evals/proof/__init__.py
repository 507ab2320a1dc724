"""Proves that the graders tell right from wrong: agents that must pass or fail, and mutants that must differ."""
