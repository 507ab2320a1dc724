"""A run from its beginning to its end: the model is asked, tools are called, events go out. Nothing else of the copilot imports it."""
