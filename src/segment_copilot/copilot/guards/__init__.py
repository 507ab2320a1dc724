"""Checks of what models and people write: links, characters, claims, sizes, values. They decide nothing else, and ask no store."""
