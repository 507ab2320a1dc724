"""Audiences: segments and their members, with previews, explanations and computations. This room knows no HTTP."""
