"""The copilot: one question with its history in, a typed stream of events out. It reads and drafts; it never saves."""
