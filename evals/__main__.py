"""`python -m evals`: run, lint, prove, load, record, replay, judge, compare."""

from evals.commands import main

main()
