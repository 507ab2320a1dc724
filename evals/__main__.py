"""`python -m evals`: run, lint, prove, load, record, replay, judge, compare, corpus."""

from evals.commands import main

main()
