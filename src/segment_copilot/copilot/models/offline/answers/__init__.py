"""Plans: the calls that answer, and what is said of their results."""
