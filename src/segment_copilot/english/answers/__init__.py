"""Plans: the calls that answer, and what is said of their results. Nothing in it reads a sentence."""
