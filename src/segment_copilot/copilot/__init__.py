"""The copilot answers a question and its history with a typed stream of events. It reads and drafts; it never saves."""
