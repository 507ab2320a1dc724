"""Segments and who is in them: previews, explanations, saved segments, computations and members. It knows no HTTP."""
