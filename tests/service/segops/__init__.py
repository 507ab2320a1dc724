"""SegOps' own public SDKs, library and command line, unmodified: every method of theirs against the running service."""
