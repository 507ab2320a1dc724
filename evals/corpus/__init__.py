"""Sentences and what they mean: the notation, the files, and how well a model reads them."""
