"""ANSWERS a question or request: the look-ups it needs, one after the other, and what is said of them. It calls nothing itself."""
