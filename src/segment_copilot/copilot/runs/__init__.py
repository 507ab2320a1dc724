"""The room of a run from its beginning to its end: the model is asked, tools are called, events go out. It knows no wire protocol, and no other room of the copilot imports it."""
